"""The typed schema of the configuration: what every key means, its type and its default.

Parts that are functions or classes of their own (adapter, scorer, metrics, sampling policy) are
nodes with a ``_target_``; their remaining keys are checked against that function's signature by
:func:`llava_eval.config.build.build_target`. Everything else is checked here, by OmegaConf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

DTYPES = ("auto", "float32", "float16", "bfloat16")
ATTENTIONS = (
    "auto",
    "sdpa",
    "eager",
    "flash_attention_2",
    "flash_attention_3",
    "flash_attention_4",
)
QUANTIZATIONS = ("bnb_nf4", "bnb_int8", "torchao_int8", "torchao_int4")


def _one_of(choices: tuple[str, ...], default: str | None) -> Any:
    return field(default=default, metadata={"choices": choices})


def _at_least(minimum: float, default: float | None) -> Any:
    return field(default=default, metadata={"minimum": minimum})


def _not_empty(default: str | None) -> Any:
    return field(default=default, metadata={"not_empty": True})


@dataclass
class GenerationConfig:
    """Generation settings of a protocol; see :class:`llava_eval.types.GenerationSettings`."""

    max_new_tokens: int = _at_least(1, 16)
    temperature: float = _at_least(0, 0.0)
    top_p: float = 1.0
    stop_strings: list[str] = field(default_factory=list)


@dataclass
class SampleConfig:
    """A seeded sample of a benchmark, for a quick look or CI.

    Attributes:
        size: samples to draw; null takes all.
        by: facets whose levels are drawn from in proportion to their size.
        seed: of the draw.
    """

    size: int | None = _at_least(1, None)
    by: list[str] = field(default_factory=list)
    seed: int = 0


@dataclass
class PrepareConfig:
    """What ``llava-eval prepare`` fetches and checks.

    Attributes:
        repository: hub data set that holds the media; null takes the one of ``source``.
        revision: of it; null takes the benchmark's.
        archives: patterns of its files that hold media: .zip, .tar, .tar.gz, or the parts of a
            split .tar; they are unpacked into ``media_root``.
        files: patterns of its files that are used as they are.
        folder: folder below ``media_root`` to unpack into.
        manual: what must be done by hand, in plain words.
        gated: what has to be agreed to before the hub gives anything.
        counts: by facet and level, samples of the complete set.
        max_unpacked_gib: archives that unpack to more than this are refused.
        max_members: archives with more members than this are refused.
    """

    repository: str | None = None
    revision: str | None = None
    archives: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    folder: str = ""
    manual: str = ""
    gated: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    max_unpacked_gib: float = _at_least(0, 500.0)
    max_members: int = _at_least(1, 1_000_000)


@dataclass
class BenchmarkConfig:
    """A benchmark under one named protocol.

    Attributes:
        name: benchmark and protocol, for instance "videomme/official".
        version: raised whenever a change of the protocol's file can move a score.
        description: one line for ``llava-eval list benchmarks``.
        source: rows; a .parquet, .jsonl, .json or .csv file, a folder of such files,
            ``hub://organisation/dataset``, or ``package://module/file``.
        subset, split, revision: of a hub data set; several subsets with "+" between them.
        media_root: folder that the adapter's media paths start from.
        num_rows: rows of the complete set; a different number of rows is reported.
        licence: terms that users must know before they download or publish.
        adapter: node that turns a row into a sample.
        system: system text of the protocol; null leaves the conversation's own.
        assistant_prefill: text that the assistant's turn begins with.
        generation: generation settings.
        strip_replies: the reference strips replies before its scorer sees them.
        metrics: nodes by metric name, in the order of the tables; the first is the headline.
        facet_metrics: metrics that the tables by facet show; null for all.
        submission: node that makes submission.json, for the server that knows hidden answers.
        chance: by metric name, the score that guessing reaches.
        facets: columns to break results down by, in the order of the tables.
        limit: evaluate only the first rows; null for all.
        where: by facet, the level or the list of levels to keep.
        sample: a seeded sample of what is left.
        prepare: what ``llava-eval prepare`` fetches and checks.
    """

    name: str = MISSING
    version: int = 1
    description: str = ""
    source: str = _not_empty(MISSING)
    subset: str | None = None
    split: str | None = None
    revision: str | None = None
    media_root: str | None = None
    num_rows: int | None = None
    licence: str = ""
    adapter: dict[str, Any] = MISSING
    system: str | None = None
    assistant_prefill: str = ""
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    strip_replies: bool = False
    metrics: dict[str, Any] = MISSING
    facet_metrics: list[str] | None = None
    submission: dict[str, Any] | None = None
    chance: dict[str, float] = field(default_factory=dict)
    facets: list[str] = field(default_factory=list)
    limit: int | None = _at_least(1, None)
    where: dict[str, Any] = field(default_factory=dict)
    sample: SampleConfig = field(default_factory=SampleConfig)
    prepare: PrepareConfig = field(default_factory=PrepareConfig)


@dataclass
class ServerConfig:
    """How a served model is asked.

    Attributes:
        kind: auto (the server is asked what it is), openai, transformers, vllm, sglang.
        video_as: images (each sampled frame is an image of its own), video (the sampled frames are
            one video), url (the video's own address; the server samples it), or auto: video where
            the server is known to take one of exactly these frames, otherwise images.
        image_format: png keeps pixels exactly; jpeg is smaller.
        jpeg_quality: 1 to 95.
        clip_dir: folder that this process and the server both see under this path; transformers
            reads videos from files only. null: a temporary one for servers of this machine.
        end_token: text of the token that ends the assistant's turn, which likelihoods count.
        concurrency: requests under way at once.
        retries: further attempts after 429, 5xx, time-outs, cut connections, malformed responses.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for the server.
    """

    kind: str = _one_of(("auto", "openai", "transformers", "vllm", "sglang"), "auto")
    video_as: str = _one_of(("auto", "images", "video", "url"), "auto")
    image_format: str = _one_of(("png", "jpeg"), "png")
    jpeg_quality: int = _at_least(1, 95)
    clip_dir: str | None = _not_empty(None)
    end_token: str | None = _not_empty(None)
    concurrency: int = _at_least(1, 8)
    retries: int = _at_least(0, 5)
    backoff_seconds: float = _at_least(0, 1.0)
    timeout_seconds: float = _at_least(0.001, 300.0)


@dataclass
class ModelConfig:
    """A checkpoint and how it is loaded, or a model that is served elsewhere.

    Attributes:
        name: short name for tables; null takes the last part of ``checkpoint``.
        checkpoint: local folder, hub id, or ``package://module/folder``; with ``base_url`` the name
            that the server knows the model by.
        revision: branch, tag or commit of a hub checkpoint.
        dtype: auto (float32 on a CPU, otherwise the checkpoint's own), float32, float16, bfloat16.
        attention: auto, sdpa, eager, flash_attention_2, flash_attention_3, flash_attention_4.
        device: auto (CUDA where there is one), cpu, cuda, cuda:1, ...
        rope_scaling: replaces entries of the checkpoint's RoPE parameters, for instance
            {rope_type: linear, factor: 2.0}; nothing keeps them.
        trust_remote_code: run code that the checkpoint's repository brings.
        base_url: a server that speaks OpenAI's chat protocol, up to ``/chat/completions``; null
            loads the checkpoint here.
        api_key_env: name of the environment variable that holds the server's key, if it asks one.
        server: how a served model is asked.
    """

    name: str | None = None
    checkpoint: str = _not_empty(MISSING)
    revision: str | None = None
    dtype: str = _one_of(DTYPES, "auto")
    attention: str = _one_of(ATTENTIONS, "auto")
    device: str = "auto"
    rope_scaling: dict[str, Any] | None = field(default_factory=dict)
    trust_remote_code: bool = False
    base_url: str | None = _not_empty(None)
    api_key_env: str = "OPENAI_API_KEY"
    server: ServerConfig = field(default_factory=ServerConfig)


@dataclass
class ConversationConfig:
    """How the user's turn becomes the text that the model reads.

    Attributes:
        name: for tables and the manifest.
        template: null uses the checkpoint's chat template; otherwise the literal text around the
            turn, with the fields ``{system}``, ``{user}`` and ``{prefill}``.
        system: system text of a literal template; a protocol's own system text replaces it.
        media_separator: what follows each media placeholder in a literal template.
    """

    name: str = MISSING
    template: str | None = None
    system: str = ""
    media_separator: str = "\n"


@dataclass
class QuantizationConfig:
    """How weights are quantized when the checkpoint is loaded.

    Attributes:
        name: for tables.
        method: null, or the scheme that the loader builds.
        double_quant: nf4 only: quantize the quantization constants too.
        compute_dtype: nf4 only: null takes the model's dtype.
        group_size: torchao_int4 only: how many weights of a row share a scale.
        skip_modules: parts that keep their precision.
    """

    name: str = MISSING
    method: str | None = _one_of(QUANTIZATIONS, None)
    double_quant: bool = True
    compute_dtype: str | None = _one_of(DTYPES[1:], None)
    group_size: int = 64
    skip_modules: list[str] = field(default_factory=list)


@dataclass
class RunnerConfig:
    """How the work is done; never what comes out.

    Attributes:
        batch_size: questions generated together; null lets the runner choose.
        max_batch_tokens: tokens in one forward pass, padding included; null: what fits.
        share_prefixes: compute what the questions of a video share once; false is the plain way.
        decode_workers: threads (engine=ray: processes for each worker) that decode ahead of the
            model.
        decode_timeout_seconds: after this long a video counts as failed.
        num_threads: torch's threads on a CPU; null leaves torch's choice.
    """

    batch_size: int | None = _at_least(1, None)
    max_batch_tokens: int | None = _at_least(1, None)
    share_prefixes: bool = True
    decode_workers: int = _at_least(1, 2)
    decode_timeout_seconds: float = _at_least(0.001, 600.0)
    num_threads: int | None = _at_least(1, None)


@dataclass
class EngineConfig:
    """Where the work is done; never what comes out.

    Attributes:
        name: local (this process) or ray.
        address: of a Ray cluster to join ("auto" finds the one of this machine); null starts Ray
            on this machine for the time of the run.
        num_workers: workers that each hold the model; null: one for each GPU, or one.
        gpus_per_worker: null: one where the model runs on GPUs, otherwise none.
        cpus_per_worker: null: one with GPUs, otherwise an even share of all.
        max_tries: times that a sample's worker may die before the sample counts as failed.
        start_timeout_seconds: longest wait for machines and workers.
        allow_version_differences: go on where a node has other versions of packages.
    """

    name: str = _one_of(("local", "ray"), "local")
    address: str | None = _not_empty(None)
    num_workers: int | None = _at_least(1, None)
    gpus_per_worker: float | None = _at_least(0, None)
    cpus_per_worker: int | None = _at_least(1, None)
    max_tries: int = _at_least(2, 4)
    start_timeout_seconds: float = _at_least(1, 600.0)
    allow_version_differences: bool = False


@dataclass
class JudgeConfig:
    """The language model that judges, where a protocol has one.

    The key is read from an environment variable and written nowhere.

    Attributes:
        model: name that the endpoint knows the judge by; the protocol names its own.
        base_url: any endpoint that speaks OpenAI's chat protocol, up to ``/chat/completions``.
        api_key_env: name of the environment variable that holds the key.
        temperature, max_tokens: of the judge's replies; null leaves them to the endpoint.
        concurrency: requests under way at once.
        retries: further attempts after 429, 5xx, time-outs, cut connections, malformed responses.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for the endpoint.
        max_requests: requests after which one command stops; what was judged is kept.
        max_cost: cost, in the currency of the prices, likewise.
        price_per_million_input_tokens, price_per_million_output_tokens: null where unknown.
    """

    model: str | None = None
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    temperature: float | None = _at_least(0, None)
    max_tokens: int | None = _at_least(1, None)
    concurrency: int = _at_least(1, 8)
    retries: int = _at_least(0, 5)
    backoff_seconds: float = _at_least(0, 1.0)
    timeout_seconds: float = _at_least(0.001, 60.0)
    max_requests: int | None = _at_least(0, None)
    max_cost: float | None = _at_least(0, None)
    price_per_million_input_tokens: float | None = _at_least(0, None)
    price_per_million_output_tokens: float | None = _at_least(0, None)


@dataclass
class PublishedConfig:
    """A published number that a run is held against.

    Attributes:
        metric: name of our metric that it belongs to.
        value: the number as printed.
        source: where it was printed.
        facet, level: the part of the benchmark that it is of; null for the whole.
        half_step: half of the last printed digit's unit, for instance 0.05 for 53.5.
        note: what could not be verified.
    """

    metric: str = MISSING
    value: float = MISSING
    source: str = MISSING
    facet: str | None = None
    level: str | None = None
    half_step: float = _at_least(0, 0.05)
    note: str = ""


@dataclass
class ErrorsConfig:
    """What failed samples mean for the exit code.

    Attributes:
        max: failed samples up to which a run still ends with exit code 0.
    """

    max: int = _at_least(0, 0)


@dataclass
class RunConfig:
    """The root of the configuration.

    Attributes:
        output_dir: run directory; null chooses results/runs/<benchmark>/<model>/<time>.
        resume: null continues an unfinished run in a named ``output_dir``; true also looks for the
            newest unfinished run of this configuration under results/runs; false never continues.
        judge: the language model that judges, where a protocol has one.
        published: published numbers that the run is held against.
        seed: for sampled decoding.
        experiment: name of the experiment, where one was chosen.
    """

    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    sampler: dict[str, Any] = MISSING
    scorer: dict[str, Any] = MISSING
    conversation: ConversationConfig = field(default_factory=ConversationConfig)
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)
    runner: RunnerConfig = field(default_factory=RunnerConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    errors: ErrorsConfig = field(default_factory=ErrorsConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    published: list[PublishedConfig] = field(default_factory=list)
    output_dir: str | None = _not_empty(None)
    resume: bool | None = None
    seed: int = 0
