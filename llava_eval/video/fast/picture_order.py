"""Whether the order of pictures goes on at a keyframe, or another part was joined there.

A keyframe that does not reset the decoder (HEVC's CRA picture, H.264's recovery point) is decoded
as what comes next. Where parts were joined there, a decoder drops frames, or shows them in another
order than timestamps say: counts of pictures jump back, or over pictures that are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

#: Why frames are not counted across a keyframe where the counts of pictures do not go on.
JOINED = "the stream was joined at a keyframe that does not begin a new sequence"


class PictureOrder(NamedTuple):
    """What a slice header says of its picture's place in decoding order and in the order shown.

    Attributes:
        low: the low bits of its picture order count.
        frame_number: H.264's frame_num, 0 in HEVC.
        resets: counts begin anew with it.
        is_anchor: the counts of pictures that follow are derived from its own.
        order_bits: of ``low``, 0 if it is not stated.
        number_bits: of ``frame_number``, 0 if there is none.
    """

    low: int
    frame_number: int
    resets: bool
    is_anchor: bool
    order_bits: int
    number_bits: int


def counts_of(orders: Iterable[PictureOrder]) -> Iterator[tuple[int, int]]:
    """Yield (sequence, picture order count) of pictures in decoding order.

    The counts are those of H.264 (8.2.1.1) and H.265 (8.3.1) but for a multiple of their range.
    """
    sequence, anchor = 0, None
    for order in orders:
        if order.resets or anchor is None:
            sequence += order.resets
            anchor = count = order.low
        else:
            size = 1 << order.order_bits
            distance = (order.low - anchor) % size
            count = anchor + distance - (size if distance > size // 2 else 0)
        if order.is_anchor:
            anchor = count
        yield sequence, count


def rises(orders: Sequence[PictureOrder | None]) -> bool:
    """Return whether pictures are surely shown in the order in which they are decoded."""
    known = [order for order in orders if order is not None and order.order_bits]
    counts = list(counts_of(known))
    return len(known) == len(orders) and all(one < two for one, two in pairwise(counts))


def is_leading(order: PictureOrder, keyframe: PictureOrder) -> bool:
    """Return whether a picture that is stored soon after a keyframe is shown before it."""
    size = 1 << keyframe.order_bits
    return (order.low - keyframe.low) % size > size // 2


def goes_on(
    before: Iterable[PictureOrder | None], keyframe: PictureOrder, after: Sequence[PictureOrder]
) -> bool:
    """Return whether a keyframe that resets nothing goes on with what was before it.

    Args:
        before: pictures in a row that end before the keyframe, no more than since the last one;
            None stands for those that cannot be read.
        keyframe: of the same stream.
        after: the pictures that are stored after it and shown before it.
    """
    known = [order for order in before if order is not None]
    numbers = [order.frame_number for order in known if order.is_anchor]
    if keyframe.number_bits and numbers:
        following = (numbers[-1] + 1) % (1 << keyframe.number_bits)
        if keyframe.frame_number != following:
            return False
    if not keyframe.order_bits or not known:
        return True
    counts = list(counts_of([*known, keyframe, *after]))
    first, second = sorted(counts[: len(known)]), sorted(counts[len(known) :])
    gaps = [later[1] - earlier[1] for part in (first, second) for earlier, later in pairwise(part)]
    gap = second[0][1] - first[-1][1]
    return gap > 0 and (not gaps or gap <= max(gaps))
