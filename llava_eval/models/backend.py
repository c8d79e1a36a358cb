"""Interfaces shared by all model backends: loaded in this process, served, or a user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llava_eval.types import Clip, Generation, Media, MediaKind, Request, Sample, ShownMedia

if TYPE_CHECKING:
    from llava_eval.models.local.pixels import FramePreprocessor


@dataclass(frozen=True)
class Needs:
    """Capabilities that samples need, which not every server offers.

    Attributes:
        likelihoods: some samples compare the likelihoods of options.
        videos: some samples show videos.
        images: some samples show images, or frames as images.
    """

    likelihoods: bool = False
    videos: bool = False
    images: bool = False

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Needs:
        """Return the capabilities that samples need.

        Args:
            samples: samples of a run.
        """
        kinds = {media.kind for sample in samples for media in sample.media}
        pieces = (piece for sample in samples for piece in sample.content)
        return cls(
            likelihoods=any(sample.options for sample in samples),
            videos="video" in kinds,
            images="image" in kinds or not all(isinstance(piece, str | Media) for piece in pieces),
        )


class Plan(Protocol):
    """A model and the way to run it, before it is loaded or receives any request."""

    def identity(self) -> dict[str, Any]:
        """Return everything about the model that can change a generation, for a run's identity."""
        ...


class Runner(Protocol):
    """Prepares media and generates texts for requests.

    Attributes:
        batch_size: most questions that :meth:`generate` processes together.
        first_prompt: the first prompt as the model reads it, if known.
        guards: results of the checks that were made, for the manifest.
    """

    batch_size: int
    first_prompt: str | None
    guards: dict[str, Any]

    @property
    def frame_preprocessor(self) -> FramePreprocessor | None:
        """Resizes and crops frames before :meth:`prepare`; None if that cannot be separated."""
        return None

    def prepare(self, kind: MediaKind, clip: Clip) -> ShownMedia:
        """Prepare one clip; may be called from other threads, ahead of :meth:`generate`.

        Args:
            kind: video, or image (a clip of one frame).
            clip: frames, uint8 (N, 3, H, W), possibly resized by :attr:`frame_preprocessor`.

        Raises:
            CheckpointError: the model has no input for such media, or was not trained on such
                frames.
            MediaError: this clip cannot be prepared.
            StorageError: the file with which the clip is sent to a server cannot be written.
        """
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        """Yield a generation for every request, in any order.

        A failed request yields a generation with its error and does not affect the others.

        Args:
            requests: at most ``batch_size``, unless one video has more questions.

        Raises:
            CheckpointError: no request can succeed: model and processor do not fit, a server
                refuses the key or the model, or there is not one text for every request.
            ServerError: a server has stopped answering.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """Return the manifest's record of the runner: its limits at the end of the run."""
        ...

    def record(self) -> dict[str, Any]:
        """Return the manifest's record of the generation, after samples were answered."""
        return {
            "first_prompt": self.first_prompt,
            "guards": dict(self.guards),
            "runner": self.settings(),
        }

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        ...

    def peak_device_memory_bytes(self) -> int | None:
        """Return this process's peak memory on an accelerator; None if unknown."""
        return None

    def close(self) -> None:
        """Release what no other run can use; no request may follow."""
        return
