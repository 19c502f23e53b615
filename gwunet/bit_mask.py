"""Masks of one bit per pixel, of which 64 are worked on in one step.

For what goes over a whole frame many times: openings by squares, and the search along lines from the frame's edge.
"""

import dataclasses
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Words = NDArray[np.uint64]

WORD = np.dtype("<u8")
"""A word's lowest bit is its first pixel, on any machine."""
WORD_PX = 64
ALL = 2**WORD_PX - 1
GAP_PX = 8
"""At least so many bits between a row's last pixel and the next row's first, so that no square reaches across both."""
FIRST_BIT = np.array([(byte & -byte).bit_length() - 1 for byte in range(256)])
BEYOND_LAST_BIT = np.array([byte.bit_length() for byte in range(256)])


@dataclasses.dataclass(frozen=True, slots=True)
class BitMask:
    """A mask ``(H, W)``."""

    words: Words
    """``(H, n)``; bits behind a row's last pixel are 0."""
    width: int

    @classmethod
    def of(cls, mask: Mask) -> Self:
        """From ``(H, W)`` bool."""
        height, width = mask.shape
        rows = np.zeros((height, (width + GAP_PX + WORD_PX - 1) // WORD_PX * WORD.itemsize), np.uint8)
        packed = np.packbits(mask, axis=1, bitorder="little")
        rows[:, : packed.shape[1]] = packed
        return cls(rows.view(WORD), width)

    def as_bool(self, every: int = 1) -> Mask:
        """``(H, W)``; with ``every``, only so many-th rows and columns."""
        rows = np.ascontiguousarray(self.words[::every]).view(np.uint8)
        pixels = np.unpackbits(rows, axis=1, count=self.width, bitorder="little")
        return pixels[:, ::every].view(np.bool_)

    def any(self) -> bool:
        """Whether any pixel is True."""
        return bool(self.words.any())

    def all(self) -> bool:
        """Whether every pixel is."""
        return bool((self.words == self._pixels()).all())

    def __and__(self, other: "BitMask") -> "BitMask":
        return BitMask(self.words & other.words, self.width)

    def __invert__(self) -> "BitMask":
        return BitMask(self.words ^ self._pixels(), self.width)

    def eroded(self, reach: int) -> "BitMask":
        """True where the square of ``2 * reach + 1`` pixels around is, as far as it lies in the frame."""
        return self._around(reach, np.bitwise_and, outside=True)

    def dilated(self, reach: int) -> "BitMask":
        """True where any pixel of the square is."""
        return self._around(reach, np.bitwise_or, outside=False)

    def opened(self, reach: int, *, outside: bool) -> "BitMask":
        """True in every square of ``2 * reach + 1`` pixels that is True all over, counting the outside as given."""
        flat = self._surrounded(2 * reach, outside)
        eroded = self._slide(flat, 2 * reach + 1, np.bitwise_and, _from_after)
        return self._of_flat(self._slide(eroded, 2 * reach + 1, np.bitwise_or, _from_before))

    def joined_to_edge(self) -> "BitMask":
        """Those True pixels that a horizontal or vertical line of True pixels joins to the frame's edge."""
        rows = self.words | ~self._pixels()
        from_top = np.bitwise_and.accumulate(rows, axis=0)
        from_bottom = np.bitwise_and.accumulate(rows[::-1], axis=0)[::-1]
        found = _from_left(rows) | _from_right(rows) | from_top | from_bottom
        return BitMask(found & self._pixels(), self.width)

    def row_ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """``(H,)`` each: the column of a row's first True, and one beyond its last; W and 0 where there is none."""
        rows = self.words.view(np.uint8)
        some = rows != 0
        each = np.arange(len(rows))
        first, last = some.argmax(axis=1), rows.shape[1] - 1 - some[:, ::-1].argmax(axis=1)
        start, end = 8 * first + FIRST_BIT[rows[each, first]], 8 * last + BEYOND_LAST_BIT[rows[each, last]]
        has_any = some[each, first]
        return np.where(has_any, start, self.width), np.where(has_any, end, 0)

    def _pixels(self) -> Words:
        """``(n,)``: a row with all its pixels True."""
        whole, rest = divmod(self.width, WORD_PX)
        row = np.zeros(self.words.shape[1], WORD)
        row[:whole] = ALL
        row[whole] = (1 << rest) - 1
        return row

    def _around(self, reach: int, join: np.ufunc, outside: bool) -> "BitMask":
        flat = self._slide(self._surrounded(reach, outside), 2 * reach + 1, join, _from_after)
        return self._of_flat(_from_before(flat, reach))

    def _surrounded(self, margin: int, outside: bool) -> Words:
        """``(1 + (H + 2 * margin) * n,)``: all rows one after another, those around the frame and a word before too.

        In it, a pixel's neighbours in the row stand beside it and those in the column n words away. The end of a row
        is followed by the bits that are no pixels and then by the next row, before whose beginning they stand.
        """
        assert margin <= GAP_PX
        height, count = self.words.shape
        flat = np.full(1 + (height + 2 * margin) * count, ALL if outside else 0, WORD)
        rows = flat[1 + margin * count : 1 + (margin + height) * count].reshape(height, count)
        rows[:] = self.words | ~self._pixels() if outside else self.words
        return flat

    def _of_flat(self, flat: Words) -> "BitMask":
        return BitMask(flat[1:].reshape(self.words.shape) & self._pixels(), self.width)

    def _slide(self, flat: Words, size: int, join: np.ufunc, moved: Callable[[Words, int], Words]) -> Words:
        """``join`` over all squares of ``size`` pixels that begin or end at a pixel; ``size - 1`` rows fewer.

        Joining with itself moved by 1, then 2, then 4 takes few passes.
        """
        done = 1
        while done < size:
            step = min(done, size - done)
            flat = join(flat, moved(flat, step))
            rows = step * self.words.shape[1]
            flat = join(flat[rows:], flat[:-rows])
            done += step
        return flat


def _from_left(rows: Words) -> Words:
    """``(H, n)``: the ones before a row's first zero."""
    ones = rows & ~(rows + 1)  # adding 1 clears a word's ones up to its first zero, and no others
    ones[:, 1:] *= np.logical_and.accumulate(rows[:, :-1] == ALL, axis=1)
    return ones


def _from_right(rows: Words) -> Words:
    """``(H, n)``: the ones behind a row's last zero."""
    upto = ~rows
    for step in (1, 2, 4, 8, 16, 32):  # a word's last zero and all that is before it
        upto |= upto >> step
    ones = ~upto
    ones[:, :-1] *= np.logical_and.accumulate(rows[:, :0:-1] == ALL, axis=1)[:, ::-1]
    return ones


def _from_after(flat: Words, count: int) -> Words:
    """At each bit the one so many further on; 0 at the end."""
    moved: Words = np.right_shift(flat, count)
    moved[:-1] |= flat[1:] << (WORD_PX - count)
    return moved


def _from_before(flat: Words, count: int) -> Words:
    """At each bit the one so many before; 0 at the beginning."""
    moved: Words = np.left_shift(flat, count)
    moved[1:] |= flat[:-1] >> (WORD_PX - count)
    return moved
