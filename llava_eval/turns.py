"""From decoded media to what the user's turn of each sample holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llava_eval.types import Clip, LatePiece, Media, MediaKind, PreparedMedia, Request, Sample

#: Pieces of a user's turn as the model runner takes them.
Turn = tuple[str | PreparedMedia, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPieces:
    """What samples that need the same media share.

    Attributes:
        media: the media that are shown as they are.
        late: what the late pieces became.
    """

    media: Mapping[Media, PreparedMedia]
    late: Mapping[LatePiece, Turn]

    def turn(self, sample: Sample) -> Turn:
        """Return the user's turn of a sample, neighbouring texts joined."""
        pieces: list[str | PreparedMedia] = []
        for piece in sample.content:
            if isinstance(piece, str):
                pieces.append(piece)
            elif isinstance(piece, Media):
                pieces.append(self.media[piece])
            else:
                pieces += self.late[piece]
        return _joined(pieces)


def prepare_pieces(
    samples: Iterable[Sample],
    read: Callable[[Media], Clip],
    prepare: Callable[[MediaKind, Clip], PreparedMedia],
) -> PreparedPieces:
    """Decode and preprocess the media of samples, each once, and expand their late pieces.

    Args:
        samples: that need the same media.
        read: decodes the frames of a medium.
        prepare: preprocesses a clip.

    Raises:
        MediaError: a medium, or a file that a late piece needs, cannot be read.
    """
    members = list(samples)
    clips = {medium: read(medium) for medium in dict.fromkeys(m for s in members for m in s.media)}
    shown = {piece for sample in members for piece in sample.content if isinstance(piece, Media)}
    late = dict.fromkeys(piece for sample in members for piece in sample.late_pieces)
    return PreparedPieces(
        {medium: prepare(medium.kind, clips[medium]) for medium in shown},
        {
            piece: tuple(
                one if isinstance(one, str) else prepare("image", one)
                for one in piece.expand(clips[piece.media])
            )
            for piece in late
        },
    )


def frames_shown(sample: Sample, request: Request) -> tuple[tuple[int, ...], ...]:
    """Return for each medium of a sample the numbers of the frames that were shown.

    Frames of a video that a late piece shows as images of their own stand together.
    """
    shown = tuple(medium.frame_indices for medium in request.media)
    if len(shown) != len(sample.media) and len(sample.media) == 1:
        return (tuple(index for indices in shown for index in indices),)
    return shown


def _joined(pieces: Iterable[str | PreparedMedia]) -> Turn:
    """Join neighbouring texts: chat templates put something between two."""
    joined: list[str | PreparedMedia] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)
