"""A user's own model: any object that prepares media and generates texts.

    class Loudest:
        def prepare(self, kind, clip):
            return clip.frames.float().mean(dim=(1, 2, 3))      # one number a frame

        def generate(self, requests):
            for request in requests:
                (video,) = request.prepared_media
                yield "ABCD"[int(video.shown[0].argmax()) % 4]

It is named by ``model=own model._target_=module.Loudest`` (``model.arguments.KEY=VALUE`` gives what
its ``__init__`` takes), or handed to :func:`llava_eval.evaluate`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from llava_eval.borders.typed_json import as_type
from llava_eval.config.build import TARGET_KEY, build_target
from llava_eval.config.schema import ModelConfig
from llava_eval.errors import CheckpointError, ConfigError, MediaError, first_line
from llava_eval.models.backend import Plan, Runner
from llava_eval.models.clock import StageClock
from llava_eval.types import Clip, Generation, MediaKind, PreparedMedia, Request

#: Default number of questions per call of :meth:`Model.generate`, if runner.batch_size is null.
_BATCH_SIZE = 8


class Model(Protocol):
    """The methods that a user's own model needs.

    A method ``identity() -> dict`` is optional. It returns what can change a generation besides the
    class and its arguments, for instance a digest of weights; a run with another identity is
    another run.
    """

    def prepare(self, kind: MediaKind, clip: Clip) -> Any:
        """Prepare one clip, once for all its questions.

        It is called from other threads, ahead of :meth:`generate`. An exception becomes the error
        of all samples that show the clip.

        Args:
            kind: video, or image (a clip of one frame).
            clip: frames, uint8 (N, 3, H, W), with their indices and times.

        Returns:
            Any object; :meth:`generate` receives it as ``shown[0]`` of a request's media.
        """
        ...

    def generate(self, requests: Sequence[Request]) -> Iterable[str | Generation]:
        """Answer questions.

        Args:
            requests: at most ``runner.batch_size``, unless one video has more questions. Each has
                ``content`` (texts and media in the order of the user's turn), ``prepared_media``,
                ``settings`` (token limit, temperature, ...), ``system`` and, if likelihoods are
                to be compared, ``options``.

        Returns:
            For every request in order its text, or a Generation with more details (token counts,
            stop reason, an error). If this raises, the requests are repeated one by one, and an
            exception then becomes the error of that sample.
        """
        ...


@dataclass(frozen=True)
class OwnModel(Plan):
    """A user's own model, as an existing object.

    Attributes:
        model: the object.
        target: dotted path of its class.
        arguments: the arguments that it was created with, if known.
    """

    model: Model
    target: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the object has the required methods.

        Raises:
            ConfigError: it has not.
        """
        if isinstance(self.model, type):
            raise ConfigError(f"model: {self.model.__name__} is a class, expected an object of it")
        missing = [
            name
            for name in ("prepare", "generate")
            if not callable(getattr(self.model, name, None))
        ]
        if missing:
            raise ConfigError(
                f"model: {self.target} has no method {' and no '.join(missing)}; a model of your "
                "own needs prepare(kind, clip) and generate(requests)"
            )

    @classmethod
    def of(cls, model: Model) -> OwnModel:
        """Wrap an object."""
        return cls(model, f"{type(model).__module__}.{type(model).__qualname__}")

    @classmethod
    def build(cls, config: ModelConfig) -> OwnModel:
        """Create the object that a configuration names.

        Raises:
            ConfigError: there is no such class, it refuses the arguments, or it is no model.
        """
        node = {TARGET_KEY: config._target_, **config.arguments}
        made = build_target(node, key="model", below=".arguments")
        return cls(made, str(config._target_), config.arguments)

    def identity(self) -> dict[str, Any]:
        return {"model": self.describe()}

    def failed(self, method: str, error: Exception) -> str:
        """Return a message that a method raised an exception."""
        return f"{self.target}.{method}: {type(error).__name__}: {first_line(error)}"

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model.

        Raises:
            ConfigError: the model's identity cannot be stored there.
        """
        try:
            more: object = getattr(self.model, "identity", dict)()
        except Exception as error:  # a user's own model may raise anything
            raise ConfigError(f"model: {self.failed('identity', error)}") from error
        try:
            more = json.loads(json.dumps(more, allow_nan=False))  # makes keys strings, as stored
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"model: {self.target}.identity gave what JSON cannot hold: {first_line(error)}"
            ) from error
        if not isinstance(more, Mapping):
            raise ConfigError(
                f"model: {self.target}.identity gave a {type(more).__name__}, expected a dict"
            )
        return {"target": self.target, "arguments": dict(self.arguments), **more}


class OwnRunner(Runner):
    """Runs a user's own model.

    Args:
        own: the model.
        batch_size: number of questions passed to it at once; None uses a small default.
        clock: records the seconds of the stage "generate".
    """

    def __init__(
        self, own: OwnModel, batch_size: int | None = None, clock: StageClock | None = None
    ) -> None:
        self._own = own
        self.batch_size = batch_size or _BATCH_SIZE
        self._clock = clock or StageClock()
        self.first_prompt: str | None = None
        self.guards: dict[str, Any] = {}

    def prepare(self, kind: MediaKind, clip: Clip) -> PreparedMedia:
        try:
            prepared = self._own.model.prepare(kind, clip)
        except Exception as error:  # a user's own model may raise anything
            raise MediaError(self._own.failed("prepare", error)) from error
        return PreparedMedia(kind, clip, shown=(prepared,))

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        if not requests:
            return
        given: Any = None
        try:
            with self._clock.stage("generate"):
                given = self._own.model.generate(requests)
                # These types do not contain answers in order, but letters, ids, or any order.
                answers = None if isinstance(given, str | Mapping | Set) else list(given)
        except Exception as error:  # noqa: BLE001 - a user's own model may raise anything
            if len(requests) > 1:
                for request in requests:
                    yield from self.generate([request])
                return
            answers = [Generation(text=None, error=self._own.failed("generate", error))]
        if answers is None:
            raise CheckpointError(
                f"{self._own.target}.generate gave a {type(given).__name__}, expected an answer "
                "for every request in order, for instance a list of texts"
            )
        if len(answers) != len(requests):
            raise CheckpointError(
                f"{self._own.target}.generate gave {len(answers)} answers to {len(requests)} "
                "requests"
            )
        for request, answer in zip(requests, answers, strict=True):
            if not isinstance(answer, str | Generation):
                raise CheckpointError(
                    f"{self._own.target}.generate gave a {type(answer).__name__} for sample "
                    f"{request.id}, expected a text or a Generation"
                )
            yield request, self._as_ledger_holds(request, answer)

    def _as_ledger_holds(self, request: Request, answer: str | Generation) -> Generation:
        """Return an answer in the form in which the ledger stores it."""
        generation = Generation(answer) if isinstance(answer, str) else answer
        fields = dataclasses.asdict(generation)
        try:
            content = json.dumps(fields, ensure_ascii=False, allow_nan=False)
            # half surrogate pairs can be neither written nor sent
            return as_type(json.loads(content.encode("utf-8", "replace")), Generation)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self._own.target}.generate gave a Generation for sample {request.id} that the "
                f"ledger cannot hold: {first_line(error)}"
            ) from error

    def settings(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size}

    def describe(self) -> dict[str, Any]:
        return self._own.describe()
