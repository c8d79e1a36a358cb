"""Check whether the order of pictures continues at a keyframe, or another part was joined there.

A keyframe that does not reset the decoder (HEVC's CRA picture, H.264's recovery point) is decoded
as the next picture of the stream. If parts were joined there, a decoder drops frames or shows them
in another order than their timestamps: picture order counts jump back, or skip missing pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

#: Why frames are not counted across a keyframe at which picture order counts do not continue.
JOINED = "the stream was joined at a keyframe that does not begin a new sequence"


class PictureOrder(NamedTuple):
    """A picture's place in decoding order and in the order shown, from its slice header.

    Attributes:
        low: the low bits of its picture order count.
        frame_number: H.264's frame_num, 0 in HEVC.
        resets: counts restart with it.
        is_anchor: the counts of later pictures are derived from its own.
        order_bits: number of bits of ``low``, 0 if it is not stated.
        number_bits: number of bits of ``frame_number``, 0 if there is none.
    """

    low: int
    frame_number: int
    resets: bool
    is_anchor: bool
    order_bits: int
    number_bits: int


def counts_of(orders: Iterable[PictureOrder]) -> Iterator[tuple[int, int]]:
    """Yield (sequence, picture order count) of pictures in decoding order.

    Up to a multiple of their range, the counts are those of H.264 (8.2.1.1) and H.265 (8.3.1).
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
    """Return whether a keyframe without a reset continues the pictures before it.

    Args:
        before: the pictures just before the keyframe, at most back to the previous keyframe; None
            for those that cannot be read.
        keyframe: a keyframe of the same stream.
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
