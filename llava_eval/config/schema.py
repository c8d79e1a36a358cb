"""The typed schema of the configuration: the meaning, type and default of every key.

Adapters, scorers, metrics and samplers are nodes with a ``_target_`` that names a function or
class; :func:`llava_eval.config.build.build_target` checks their other keys against its signature.
Everything else is checked here, by OmegaConf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from omegaconf import MISSING

from llava_eval.borders.address import check_address, check_variable
from llava_eval.errors import ConfigError

DTYPES = ("auto", "float32", "float16", "bfloat16")
ATTENTIONS = (
    "auto",
    "sdpa",
    "eager",
    "flash_attention_2",
    "flash_attention_3",
    "flash_attention_4",
)
PROBES = (
    "blind",
    "one_frame",
    "shuffled_frames",
    "reversed",
    "shuffled_options",
    "none_of_the_above",
)
QUANTIZATIONS = ("bnb_nf4", "bnb_int8", "torchao_int8", "torchao_int4")


Role = Literal["protocol", "model", "place", "speed", "label"]
Step = Literal["rows", "generation", "scoring"]
OnlyFor = Literal["loaded", "served", "literal", "quantized", "bnb_nf4", "torchao_int4", "ray"]


@dataclass(frozen=True)
class Setting:
    """One declared key of the schema.

    Attributes:
        role, step, choices, minimum, not_empty, is_open, is_path, only_for, parts: as in
            :func:`setting`.
        key: dotted, for instance "benchmark.generation.temperature"; this and the following
            attributes are filled in by :func:`llava_eval.config.roles.declared_settings`.
        is_free: whether it is a mapping whose keys a function, a class or the user defines.
        default: its default value; None if it must be given.
    """

    role: Role
    step: Step | None
    choices: tuple[str | bool, ...] | None
    minimum: float | None
    not_empty: bool
    is_open: bool
    is_path: bool
    only_for: OnlyFor | None
    parts: Mapping[str, Role]
    key: str = ""
    is_free: bool = False
    default: Any = None

    @property
    def makes_samples(self) -> bool:
        """Whether its effect shows in the samples (prompts, targets, media), compared as such."""
        return self.step == "rows" and self.is_free and not self.is_open

    @property
    def may_be_missing(self) -> bool:
        """Whether its absence means that nothing was set, or that a step (a probe) was skipped."""
        is_optional_step = self.step == "generation" and self.default is None and not self.is_free
        return self.is_open or is_optional_step


def setting(
    role: Role,
    default: Any = MISSING,
    *,
    step: Step | None = None,
    choices: tuple[str | bool, ...] | None = None,
    minimum: float | None = None,
    not_empty: bool = False,
    is_open: bool = False,
    is_path: bool = False,
    only_for: OnlyFor | None = None,
    parts: Mapping[str, Role] | None = None,
) -> Any:
    """Declare one key of the configuration: its default, what is allowed, and its role.

    Args:
        role: what a change of the key means. ``protocol``: the score means something else;
            ``model``: something else answers; ``speed``: neither, but the time may change;
            ``place``: where files and servers are; ``label``: only how a run is described.
        default: the value if none is given; without one the key must be given. Lists and
            mappings are copied.
        step: for the role ``protocol``, the first step it acts on: the choice of rows, the
            generation of texts, or the scoring of existing texts.
        choices: the allowed values; null is allowed too.
        minimum: the smallest allowed number.
        not_empty: refuse the empty text.
        is_open: users may add keys of their own below it on the command line.
        is_path: the value is a path, which the command line accepts without quoting.
        only_for: the only case in which the key has an effect: a model that is loaded here, or
            served; a literal conversation template; quantized weights, or one method of
            quantization; or the engine Ray. None: always.
        parts: roles of keys below a node that differ from the node's ``role``.
    """
    stated = Setting(
        role, step, choices, minimum, not_empty, is_open, is_path, only_for, parts or {}
    )
    metadata = {"setting": stated}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(kind: type, *, is_named: bool = False, only_for: OnlyFor | None = None) -> Any:
    """Declare a section of the configuration, which has keys of its own.

    Args:
        kind: its class.
        is_named: a comparison of runs shows its ``name`` in place of all its keys.
        only_for: as in :func:`setting`, for all its keys.
    """
    return field(default_factory=kind, metadata={"is_named": is_named, "only_for": only_for})


@dataclass
class GenerationConfig:
    """Generation settings of a protocol; see :class:`llava_eval.types.GenerationSettings`."""

    max_new_tokens: int = setting("protocol", 16, step="generation", minimum=1)
    temperature: float = setting("protocol", 0.0, step="generation", minimum=0)
    top_p: float = setting("protocol", 1.0, step="generation")
    stop_strings: list[str] = setting("protocol", [], step="generation")


@dataclass
class SubsampleConfig:
    """A random but seeded part of a benchmark's samples, for a quick look or CI.

    Attributes:
        size: number of samples to draw; null keeps all.
        by: facets to stratify by: each level is drawn from in proportion to its size.
        seed: seed of the draw.
    """

    size: int | None = setting("protocol", None, step="rows", minimum=1)
    by: list[str] = setting("protocol", [], step="rows")
    seed: int = setting("protocol", 0, step="rows")


@dataclass
class PrepareConfig:
    """Files that ``llava-eval prepare`` fetches and checks.

    Attributes:
        repository: hub data set that contains the media; null: that of ``source``.
        revision: its revision; null: the benchmark's.
        archives: patterns of its files that are archives of media: .zip, .tar, .tar.gz, or the
            parts of a split .tar. They are unpacked into ``media_root``, where they may already be.
        split_archives: patterns of file names; the files that match one pattern are the parts of
            one archive, split into files with complete names (``videos_part_1.zip``).
        files: patterns of its files that are used as they are, under the same paths.
        folder: folder below ``media_root`` to unpack into.
        manual: what users must do by hand, in plain words.
        gated: terms that users must accept before the hub grants access.
        counts: by facet and level, the number of samples of the complete set.
        max_unpacked_gib: refuse archives that unpack to more than this.
        max_members: refuse archives with more members than this.
    """

    repository: str | None = setting("place", None)
    revision: str | None = setting("place", None)
    archives: list[str] = setting("place", [])
    split_archives: list[str] = setting("place", [])
    files: list[str] = setting("place", [])
    folder: str = setting("place", "")
    manual: str = setting("place", "")
    gated: str = setting("place", "")
    counts: dict[str, dict[str, int]] = setting("place", {})
    max_unpacked_gib: float = setting("place", 500.0, minimum=0)
    max_members: int = setting("place", 1_000_000, minimum=1)


@dataclass
class ReplyConfig:
    """Changes that a reference makes to a reply between the model and its scorer.

    Attributes:
        strip: remove white space at both ends.
        reasoning: kept (the rule sees the whole text; strict_choice and exact_match skip blocks of
            reasoning themselves), or lmms_eval (cut them out as lmms-eval does).
    """

    strip: bool = setting("protocol", False, step="scoring")
    reasoning: str = setting("protocol", "kept", step="scoring", choices=("kept", "lmms_eval"))


@dataclass
class BenchmarkConfig:
    """A benchmark under one named protocol.

    Attributes:
        name: benchmark and protocol, for instance "videomme/official".
        version: raised whenever a change of the protocol's file can change a score.
        description: one line for ``llava-eval list benchmarks``.
        source: where the rows are: a .parquet, .jsonl, .json or .csv file, a folder of such files,
            an .xlsx file, ``hub://organisation/dataset``, or ``package://module/file``.
        subset, split, revision: of a hub data set; several subsets are joined by "+". For a
            folder, they choose the files that are named after them.
        media_root: folder that the adapter's media paths are relative to.
        num_rows: number of rows of the complete set; a different number is reported.
        licence: terms that users must know before they download or publish.
        adapter: node that turns a row into a sample.
        system: system text of the protocol; null keeps the conversation's own.
        assistant_prefill: text that the assistant's turn begins with.
        generation: generation settings.
        generation_settings: source of settings that the protocol does not state, such as a
            repetition penalty: checkpoint (the value in the checkpoint's generation_config.json)
            or protocol (transformers' default).
        reply: what the reference does to a reply before its scorer sees it.
        metrics: nodes by metric name, in the order of the tables; the first is the headline.
        facet_metrics: metrics that the tables by facet show; null for all.
        submission: node that writes submission.json, for the server that knows hidden answers.
        chance: by metric name, the score that guessing reaches.
        facets: columns to break results down by, in the order of the tables.
        limit: evaluate only this many rows, the first ones; null for all.
        where: by facet, the level or the list of levels to keep.
        subsample: a seeded part of the remaining samples.
        probe: a changed way to ask the questions, which shows what the answers depend on; see
            :mod:`llava_eval.benchmarks.probes`. null asks them unchanged.
        prepare: what ``llava-eval prepare`` fetches and checks.
    """

    name: str = setting("label", not_empty=True)
    version: int = setting("protocol", 1, step="generation", minimum=0)
    description: str = setting("label", "")
    source: str = setting("place", not_empty=True, is_path=True)
    subset: str | None = setting("protocol", None, step="rows")
    split: str | None = setting("protocol", None, step="rows")
    revision: str | None = setting("protocol", None, step="rows")
    media_root: str | None = setting("place", None, is_path=True)
    num_rows: int | None = setting("label", None, minimum=1)
    licence: str = setting("label", "")
    adapter: dict[str, Any] = setting("protocol", step="rows", parts={"media": "place"})
    system: str | None = setting("protocol", None, step="generation")
    assistant_prefill: str = setting("protocol", "", step="generation")
    generation: GenerationConfig = section(GenerationConfig)
    generation_settings: str = setting(
        "protocol", "protocol", step="generation", choices=("protocol", "checkpoint")
    )
    reply: ReplyConfig = section(ReplyConfig)
    metrics: dict[str, Any] = setting("protocol", step="scoring")
    facet_metrics: list[str] | None = setting("protocol", None, step="scoring")
    submission: dict[str, Any] | None = setting("protocol", {}, step="scoring")
    chance: dict[str, float] = setting("protocol", {}, step="scoring")
    facets: list[str] = setting("protocol", [], step="scoring")
    limit: int | None = setting("protocol", None, step="rows", minimum=1)
    where: dict[str, Any] = setting("protocol", {}, step="rows", is_open=True)
    subsample: SubsampleConfig = section(SubsampleConfig)
    probe: str | None = setting("protocol", None, step="generation", choices=PROBES)
    prepare: PrepareConfig = section(PrepareConfig)


@dataclass
class RequestsConfig:
    """How requests are sent to a server.

    Attributes:
        concurrency: number of simultaneous requests.
        retries: further attempts after the statuses 408, 409, 425, 429 and 5xx except 501,
            time-outs, broken connections and malformed responses.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for a complete reply.
    """

    concurrency: int = setting("speed", 8, minimum=1)
    retries: int = setting("speed", 5, minimum=0)
    backoff_seconds: float = setting("speed", 1.0, minimum=0)
    timeout_seconds: float = setting("speed", 300.0, minimum=0.001)


@dataclass
class ServerConfig(RequestsConfig):
    """How requests to a served model are made.

    Attributes:
        kind: auto (find out from the server), openai, transformers, vllm, sglang.
        video_as: images (each sampled frame as one image), video (the sampled frames as one video),
            url (the video's own address; the server samples it), or auto: video if the server is
            known to accept one with exactly these frames, otherwise images.
        image_format: png keeps pixels exactly; jpeg is smaller.
        jpeg_quality: 1 to 95.
        clip_dir: folder that this process and the server both see under this path, because
            transformers reads videos only from files. null: a temporary one if the server is on
            this machine.
        end_token: text of the token that ends the assistant's turn; likelihoods include it.
    """

    kind: str = setting(
        "model", "auto", choices=("auto", "openai", "transformers", "vllm", "sglang")
    )
    video_as: str = setting("model", "auto", choices=("auto", "images", "video", "url"))
    image_format: str = setting("model", "png", choices=("png", "jpeg"))
    jpeg_quality: int = setting("model", 95, minimum=1)
    clip_dir: str | None = setting("place", None, not_empty=True, is_path=True)
    end_token: str | None = setting("model", None, not_empty=True)


@dataclass
class ModelConfig:
    """A checkpoint and how it is loaded, a model served elsewhere, or a user's own class.

    Attributes:
        name: short name for tables; null uses the last part of ``checkpoint`` or
            ``_target_``.
        checkpoint: local folder, hub id, or ``package://module/folder``; with ``base_url``, the
            server's name for the model.
        revision: branch, tag or commit of a hub checkpoint.
        dtype: auto (float32 on a CPU, the checkpoint's own elsewhere and if it is quantized),
            float32, float16, bfloat16.
        attention: auto (transformers' choice for this model; flash-attention 2 or 3 if it is
            installed, the device is CUDA, ``dtype`` has 16 bits and the logits stay the same),
            sdpa, eager, flash_attention_2, flash_attention_3, flash_attention_4.
        device: auto (CUDA if available), cpu, cuda, cuda:1, ..., or all: spread the layers of one
            model over all GPUs. A run may be continued on another device if ``dtype`` and
            ``attention`` come out the same there.
        rope_scaling: replaces entries of the checkpoint's RoPE parameters, for instance
            {rope_type: linear, factor: 2.0}; empty keeps them.
        processor: settings that replace those of the checkpoint's image and video processor, for
            instance {max_pixels: 602112}.
        generation_settings: checkpoint keeps the checkpoint's own generation settings (such as a
            repetition penalty) that the protocol does not state; protocol drops them; null does
            what the protocol's reference does.
        video_as: images shows each frame of a video as an image, for models without video input.
        trust_remote_code: run code from the checkpoint's repository.
        base_url: a server with OpenAI's chat protocol, its address up to ``/chat/completions``;
            null loads the checkpoint here.
        _target_: a class of the user's own instead, see :mod:`llava_eval.models.own`.
        arguments: of that class.
        api_key_env: environment variable that contains the server's key, if it requires one.
        server: how requests to a served model are made.
    """

    name: str | None = setting("label", None)
    checkpoint: str = setting("model", not_empty=True, is_path=True)
    revision: str | None = setting("model", None, only_for="loaded")
    dtype: str = setting("model", "auto", choices=DTYPES, only_for="loaded")
    attention: str = setting("model", "auto", choices=ATTENTIONS, only_for="loaded")
    device: str = setting("speed", "auto", only_for="loaded")
    rope_scaling: dict[str, Any] | None = setting("model", {}, is_open=True, only_for="loaded")
    processor: dict[str, Any] = setting("model", {}, is_open=True, only_for="loaded")
    generation_settings: str | None = setting(
        "model", None, choices=("protocol", "checkpoint"), only_for="loaded"
    )
    video_as: str = setting("model", "video", choices=("video", "images"), only_for="loaded")
    trust_remote_code: bool = setting("model", False, only_for="loaded")
    base_url: str | None = setting("place", None, not_empty=True)
    api_key_env: str = setting("place", "OPENAI_API_KEY", only_for="served")
    server: ServerConfig = section(ServerConfig, only_for="served")
    _target_: str | None = setting("model", None, not_empty=True)
    arguments: dict[str, Any] = setting("model", {}, is_open=True)

    @property
    def short_name(self) -> str:
        """Its name in tables and folders."""
        own = (self._target_ or "").rpartition(".")[2]
        return self.name or own or PurePath(self.checkpoint).name

    @property
    def is_own(self) -> bool:
        """Whether it is a class of the user's own."""
        return self._target_ is not None

    @property
    def is_loaded(self) -> bool:
        """Whether its checkpoint is loaded here."""
        return self.base_url is None and not self.is_own

    def __post_init__(self) -> None:
        check_variable(self.api_key_env, key="model.api_key_env")
        if self.base_url:
            check_address(self.base_url, key="model.base_url")


@dataclass
class ConversationConfig:
    """How the user's turn becomes the text that the model reads.

    Attributes:
        name: for tables and the manifest.
        template: null uses the checkpoint's chat template; otherwise the literal prompt, with the
            fields ``{system}``, ``{user}`` and ``{prefill}``.
        system: system text of a literal template; a protocol's own system text replaces it.
        media_separator: text after each media placeholder in a literal template.
    """

    name: str = setting("label")
    template: str | None = setting("model", None)
    system: str = setting("model", "", only_for="literal")
    media_separator: str = setting("model", "\n", only_for="literal")

    def __post_init__(self) -> None:
        """Check the template.

        Raises:
            ConfigError: it cannot be filled in, or has no field for the user's turn.
        """
        if self.template is None:
            return
        try:
            self.template.format(system="", user="", prefill="")
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigError(
                f"conversation.template: {error} in {self.template!r}; its fields are {{system}}, "
                "{user} and {prefill}"
            ) from error
        if "{user}" not in self.template:
            raise ConfigError(f"conversation.template has no {{user}}: {self.template!r}")


@dataclass
class QuantizationConfig:
    """How weights are quantized when the checkpoint is loaded.

    Attributes:
        name: for tables.
        method: one of :data:`QUANTIZATIONS`; null leaves the weights as they are.
        double_quant: quantize the quantization constants too.
        compute_dtype: null uses the model's dtype.
        group_size: number of weights of a row that share a scale.
        skip_modules: modules that keep their precision.
    """

    name: str = setting("label")
    method: str | None = setting("model", None, choices=QUANTIZATIONS)
    double_quant: bool = setting("model", True, only_for="bnb_nf4")
    compute_dtype: str | None = setting("model", None, choices=DTYPES[1:], only_for="bnb_nf4")
    group_size: int = setting("model", 64, only_for="torchao_int4")
    skip_modules: list[str] = setting("model", [], only_for="quantized")


@dataclass
class RunnerConfig:
    """Speed and memory, outside of the protocol; batching can change a logit's last digits.

    Attributes:
        batch_size: most questions generated together; null: 32 here, four times the server's
            concurrency for a served model. With ``share_prefixes: false`` each is asked alone.
        max_batch_tokens: tokens in one forward pass, padding included; null: as many as fit.
        share_prefixes: compute the prompt prefix that a video's questions share only once. auto: if
            a trial gives the same logits as whole prompts; true: end the run if it does not; false:
            never.
        decode_workers: threads (engine=ray: processes for each worker) that decode ahead of the
            model.
        decode_timeout_seconds: a video that takes longer counts as failed.
        num_threads: torch's threads on a CPU; null keeps torch's choice, but no more than the
            cores that a container or a job allows.
        keep_choice_logprobs: keep in the ledger the log-probability of each option's letter as the
            first new token; compare uses them to tell quantized models apart.
    """

    batch_size: int | None = setting("speed", None, minimum=1)
    max_batch_tokens: int | None = setting("speed", None, minimum=1, only_for="loaded")
    share_prefixes: Any = setting("speed", "auto", choices=("auto", True, False), only_for="loaded")
    decode_workers: int = setting("speed", 2, minimum=1)
    decode_timeout_seconds: float = setting("speed", 600.0, minimum=0.001)
    num_threads: int | None = setting("speed", None, minimum=1, only_for="loaded")
    keep_choice_logprobs: bool = setting("speed", False)


@dataclass
class EngineConfig:
    """Where the work is done; it must not change scores.

    Attributes:
        name: local (this process), ray, or auto: ray if it is installed and this machine has
            several GPUs.
        address: address of a Ray cluster to join ("auto" finds the one on this machine); null
            starts Ray on this machine for the duration of the run.
        num_workers: workers that each load the model; null: one for each GPU, or one.
        gpus_per_worker: null: one if the model runs on GPUs, otherwise none.
        cpus_per_worker: null: one with GPUs, otherwise an even share of all.
        max_tries: times that a sample's worker may die before the sample counts as failed.
        start_timeout_seconds: longest wait for machines and workers.
        allow_version_differences: continue if a node has other versions of packages.
    """

    name: str = setting("place", "auto", choices=("auto", "local", "ray"))
    address: str | None = setting("place", None, not_empty=True, only_for="ray")
    num_workers: int | None = setting("speed", None, minimum=1, only_for="ray")
    gpus_per_worker: float | None = setting("speed", None, minimum=0, only_for="ray")
    cpus_per_worker: int | None = setting("speed", None, minimum=1, only_for="ray")
    max_tries: int = setting("speed", 4, minimum=2, only_for="ray")
    start_timeout_seconds: float = setting("speed", 600.0, minimum=1, only_for="ray")
    allow_version_differences: bool = setting("speed", False, only_for="ray")


@dataclass
class JudgeConfig(RequestsConfig):
    """The language model that judges replies, for protocols that use one.

    The key is read from an environment variable and never written anywhere.

    Attributes:
        model: the endpoint's name for the judge; the protocol names its own.
        base_url: any endpoint with OpenAI's chat protocol, its address up to ``/chat/completions``.
        api_key_env: name of the environment variable that contains the key.
        temperature, max_tokens: of the judge's replies; null leaves them to the endpoint.
        response_format: format that the endpoint enforces on the judge's replies, such as
            {type: json_object}, as in OpenAI's protocol; null for free texts.
        max_requests: requests after which one command stops; finished judgements are kept.
        max_cost: the same for the cost, in the currency of the prices.
        price_per_million_input_tokens, price_per_million_output_tokens: null if unknown.
    """

    model: str | None = setting("protocol", None, step="scoring")
    base_url: str = setting("place", "https://api.openai.com/v1")
    api_key_env: str = setting("place", "OPENAI_API_KEY")
    temperature: float | None = setting("protocol", None, step="scoring", minimum=0)
    max_tokens: int | None = setting("protocol", None, step="scoring", minimum=1)
    response_format: dict[str, Any] | None = setting("protocol", {}, step="scoring", is_open=True)
    timeout_seconds: float = setting("speed", 60.0, minimum=0.001)
    max_requests: int | None = setting("speed", None, minimum=0)
    max_cost: float | None = setting("speed", None, minimum=0)
    price_per_million_input_tokens: float | None = setting("label", None, minimum=0)
    price_per_million_output_tokens: float | None = setting("label", None, minimum=0)

    def __post_init__(self) -> None:
        check_variable(self.api_key_env, key="judge.api_key_env")
        check_address(self.base_url, key="judge.base_url")
        prices = (self.price_per_million_input_tokens, self.price_per_million_output_tokens)
        if self.max_cost is not None and None in prices:
            raise ConfigError(
                "judge.max_cost needs judge.price_per_million_input_tokens and "
                "judge.price_per_million_output_tokens"
            )

    def cost(self, num_input_tokens: int, num_output_tokens: int) -> float | None:
        """Return the cost of these numbers of tokens, or None if a price is unknown."""
        ingoing = self.price_per_million_input_tokens
        outgoing = self.price_per_million_output_tokens
        if ingoing is None or outgoing is None:
            return None
        return (num_input_tokens * ingoing + num_output_tokens * outgoing) / 1e6


@dataclass
class PublishedConfig:
    """A published number that is shown beside a run's own.

    Attributes:
        metric: name of our metric that it belongs to.
        value: the number as printed.
        source: where it was printed.
        facet, level: the part of the benchmark that it covers; null for the whole.
        half_step: half a unit of the last printed digit, for instance 0.05 for 53.5.
        note: what could not be verified.
    """

    metric: str = setting("label")
    value: float = setting("label")
    source: str = setting("label")
    facet: str | None = setting("label", None)
    level: str | None = setting("label", None)
    half_step: float = setting("label", 0.05, minimum=0)
    note: str = setting("label", "")


@dataclass
class ErrorsConfig:
    """Failed samples and the exit code.

    Attributes:
        max: the most failed samples with which a run still ends with exit code 0.
    """

    max: int = setting("label", 0, minimum=0)


@dataclass
class RunConfig:
    """The root of the configuration.

    Attributes:
        output_dir: run directory; null chooses results/runs/<benchmark>/<model>/<time>.
        resume: null continues the run in a given ``output_dir``, and retries its failed samples;
            true also looks under results/runs for the newest run of this configuration that is
            unfinished or has failed samples; false never continues a run.
        judge: the language model that judges replies, for protocols that use one.
        published: published numbers that are shown beside the run's own.
        tracker: node of a tracker that receives the finished run; null for none.
        seed: seed of sampled decoding.
    """

    benchmark: BenchmarkConfig = section(BenchmarkConfig)
    model: ModelConfig = section(ModelConfig)
    sampler: dict[str, Any] = setting("protocol", step="generation")
    scorer: dict[str, Any] = setting("protocol", step="scoring")
    conversation: ConversationConfig = section(ConversationConfig, is_named=True)
    quantization: QuantizationConfig = section(QuantizationConfig, is_named=True)
    runner: RunnerConfig = section(RunnerConfig)
    engine: EngineConfig = section(EngineConfig)
    errors: ErrorsConfig = section(ErrorsConfig)
    judge: JudgeConfig = section(JudgeConfig)
    published: list[PublishedConfig] = setting("label", [])
    tracker: dict[str, Any] | None = setting("label", None)
    output_dir: str | None = setting("place", None, not_empty=True, is_path=True)
    resume: bool | None = setting("place", None)
    seed: int = setting("protocol", 0, step="generation")
