"""What every backend of models looks like: loaded in this process, served, or a user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llava_eval.types import Clip, Generation, Media, MediaKind, Request, Sample, ShownMedia

if TYPE_CHECKING:
    from llava_eval.models.local.pixels import FramePreprocessor


@dataclass(frozen=True)
class Needs:
    """What samples need of a model, which not every server offers.

    Attributes:
        likelihoods: they have options whose likelihoods are compared.
        videos: they show videos.
        images: they show images, or frames as images.
    """

    likelihoods: bool = False
    videos: bool = False
    images: bool = False

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Needs:
        """Return what samples need.

        Args:
            samples: of a run.
        """
        kinds = {media.kind for sample in samples for media in sample.media}
        pieces = (piece for sample in samples for piece in sample.content)
        return cls(
            likelihoods=any(sample.options for sample in samples),
            videos="video" in kinds,
            images="image" in kinds or not all(isinstance(piece, str | Media) for piece in pieces),
        )


class Plan(Protocol):
    """Which model runs and how, before it is loaded or asked anything."""

    def identity(self) -> dict[str, Any]:
        """Return what about the model can change a generation, for a run's identity."""
        ...


class Runner(Protocol):
    """Prepares media and generates texts for requests.

    Attributes:
        batch_size: most questions that :meth:`generate` works on together.
        first_prompt: the first prompt as the model reads it, as far as that is known here.
        guards: what was checked on the way, for the manifest.
    """

    batch_size: int
    first_prompt: str | None
    guards: dict[str, Any]

    @property
    def frame_preprocessor(self) -> FramePreprocessor | None:
        """What resizes and crops frames before :meth:`prepare`, where that can be done apart."""
        return None

    def prepare(self, kind: MediaKind, clip: Clip) -> ShownMedia:
        """Make one clip ready; may be called from other threads, ahead of :meth:`generate`.

        Args:
            kind: video, or image (a clip of one frame).
            clip: its frames, uint8 (N, 3, H, W), which :attr:`frame_preprocessor` may have resized.

        Raises:
            CheckpointError: the model takes no such media, or was not trained on such frames.
            MediaError: it cannot make anything of this clip.
            StorageError: a file that shows it to a server cannot be written.
        """
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        """Yield a generation for every request, in any order.

        A request that fails yields a generation with its error and takes no other with it.

        Args:
            requests: at most ``batch_size``, unless one video has more questions.

        Raises:
            CheckpointError: nothing can be asked so: model and processor do not fit, a server
                refuses the key or the model, or something else comes than a text for every request.
            ServerError: a server has stopped answering.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the manifest says of the runner: limits as they ended up."""
        ...

    def record(self) -> dict[str, Any]:
        """Return what the manifest says of a generation, once there was some."""
        return {
            "first_prompt": self.first_prompt,
            "guards": dict(self.guards),
            "runner": self.settings(),
        }

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        ...

    def peak_device_memory_bytes(self) -> int | None:
        """Return the most memory held on an accelerator by this process; None where unknown."""
        return None

    def close(self) -> None:
        """Let go of what no other run can use; nothing may be asked afterwards."""
        return
