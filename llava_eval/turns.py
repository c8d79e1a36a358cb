"""From decoded media to what the user's turn of each sample holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llava_eval.types import Clip, LatePiece, Media, MediaKind, Request, Sample, ShownMedia

#: Pieces of a user's turn as the model runner takes them.
Turn = tuple[str | ShownMedia, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPieces:
    """What samples that need the same media share.

    Attributes:
        media: the media that are shown as they are.
        late: what the late pieces became.
    """

    media: Mapping[Media, ShownMedia]
    late: Mapping[LatePiece, Turn]

    def turn(self, sample: Sample) -> Turn:
        """Return the user's turn of a sample, neighbouring texts joined."""
        pieces: list[str | ShownMedia] = []
        for piece in sample.content:
            if isinstance(piece, str):
                pieces.append(piece)
            elif isinstance(piece, Media):
                pieces.append(self.media[piece])
            else:
                pieces += self.late[piece]
        return _joined(pieces)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPieces:
    """What samples that need the same media share, before any model has seen it; picklable.

    Attributes:
        media: frames of the media that are shown as they are.
        late: what the late pieces became; each clip is one image.
    """

    media: Mapping[Media, Clip]
    late: Mapping[LatePiece, tuple[str | Clip, ...]]

    def prepared(self, prepare: Callable[[MediaKind, Clip], ShownMedia]) -> PreparedPieces:
        """Return the pieces as a model takes them, each clip preprocessed once."""
        return PreparedPieces(
            {medium: prepare(medium.kind, clip) for medium, clip in self.media.items()},
            {
                piece: tuple(
                    one if isinstance(one, str) else prepare("image", one) for one in expanded
                )
                for piece, expanded in self.late.items()
            },
        )


def decode_pieces(samples: Iterable[Sample], read: Callable[[Media], Clip]) -> DecodedPieces:
    """Decode the media of samples, each once, and expand their late pieces.

    Args:
        samples: that need the same media.
        read: decodes the frames of a medium.

    Raises:
        MediaError: a medium, or a file that a late piece needs, cannot be read.
    """
    members = list(samples)
    clips = {medium: read(medium) for medium in dict.fromkeys(m for s in members for m in s.media)}
    shown = {piece for sample in members for piece in sample.content if isinstance(piece, Media)}
    late = dict.fromkeys(piece for sample in members for piece in sample.late_pieces)
    return DecodedPieces(
        {medium: clip for medium, clip in clips.items() if medium in shown},
        {piece: tuple(piece.expand(clips[piece.media])) for piece in late},
    )


def frames_shown(sample: Sample, request: Request) -> tuple[tuple[int, ...], ...]:
    """Return for each medium of a sample the numbers of the frames that were shown.

    Frames of a video that a late piece shows as images of their own stand together.
    """
    shown = tuple(medium.frame_indices for medium in request.media)
    if len(shown) != len(sample.media) and len(sample.media) == 1:
        return (tuple(index for indices in shown for index in indices),)
    return shown


def _joined(pieces: Iterable[str | ShownMedia]) -> Turn:
    """Join neighbouring texts: chat templates put something between two."""
    joined: list[str | ShownMedia] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)
