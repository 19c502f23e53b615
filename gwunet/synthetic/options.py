"""What can be asked of simulated frames; what is not asked for is drawn."""

import dataclasses
from typing import Any, Literal

from gwunet.errors import UsageError
from gwunet.synthetic.collimator import Aperture
from gwunet.synthetic.raster import Shape
from gwunet.synthetic.wire import WIDTH_RANGE_PX

Size = int | Shape
"""Edge of square frames, or rows and columns."""
WireCount = Literal[1, 2, "mixed"]
Border = int | Literal["random", "none", "jpeg"]
Collimator = Literal["random", "circular", "rectangular", "none"]

MIN_SIZE = 64
MAX_ASPECT = 4
"""Longest edge over shortest: detectors are within 2, and wires would not find room in a narrower strip."""
BITS = (8, 12, 13, 14, 15, 16)
MAX_BORDER = 60
WIRE_WIDTH_LIMITS_PX = (1.5, 8.0)
_APERTURES: dict[str, Aperture] = {"circular": "circle", "rectangular": "rectangle", "none": "open"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FrameOptions:
    """What all frames of a dataset have in common."""

    size: Size = 512
    wires: WireCount = "mixed"
    """Guidewires in a sequence: 1, 2 (they cross) or drawn."""
    bits: int = 8
    """Bits of a grey level: 8, or 12 to 16, which are stored in 16."""
    border: Border = "random"
    """The collimator's shadow: drawn (black of 0 to 20 with noise), absent, one exact level of 255, or drawn and
    then with the frame compressed as JPEG, which rings beside edges."""
    collimator: Collimator = "random"
    wire_width: tuple[float, float] = WIDTH_RANGE_PX
    """Least and largest width of a wire, pixels."""

    @property
    def shape(self) -> Shape:
        """Rows and columns of a frame."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def aperture(self) -> Aperture | None:
        """The field's outline; None where it is drawn."""
        return "open" if self.border == "none" else _APERTURES.get(self.collimator)

    @property
    def black(self) -> int | None:
        """The border's exact level of 255; None where it is drawn."""
        return self.border if isinstance(self.border, int) else None

    def check(self) -> None:
        """Raises ``UsageError`` for values that cannot work, alone or together."""
        self._check_size()
        if self.wires not in (1, 2, "mixed"):
            raise UsageError(f"wires: found {self.wires!r}, wanted 1, 2 or 'mixed'")
        if self.bits not in BITS:
            raise UsageError(f"bits: found {self.bits!r}, wanted 8, or 12 to 16 for 16-bit files")
        self._check_border()
        low, high = self.wire_width
        if not WIRE_WIDTH_LIMITS_PX[0] <= low <= high <= WIRE_WIDTH_LIMITS_PX[1]:
            raise UsageError(
                f"wire_width: found {low:g} to {high:g} px, wanted a range that rises within "
                f"{WIRE_WIDTH_LIMITS_PX[0]:g} to {WIRE_WIDTH_LIMITS_PX[1]:g} px"
            )

    def _check_size(self) -> None:
        if min(self.shape) < MIN_SIZE:
            raise UsageError(f"size: found {_spell(self.size)}, wanted at least {MIN_SIZE}")
        if max(self.shape) > MAX_ASPECT * min(self.shape):
            raise UsageError(f"size: found {_spell(self.size)}, wanted no edge over {MAX_ASPECT} times the other")

    def _check_border(self) -> None:
        if isinstance(self.border, int):
            known = not isinstance(self.border, bool) and 0 <= self.border <= MAX_BORDER
        else:
            known = self.border in ("random", "none", "jpeg")
        if not known:
            raise UsageError(
                f"border: found {self.border!r}, wanted 'random', 'none', 'jpeg' or a level from 0 to {MAX_BORDER}"
            )
        if self.collimator != "random" and self.collimator not in _APERTURES:
            raise UsageError(f"collimator: found {self.collimator!r}, wanted one of random, {', '.join(_APERTURES)}")
        if self.border == "none" and self.collimator not in ("random", "none"):
            raise UsageError(
                f"border: found 'none' with collimator {self.collimator!r}, which makes one; give another border, or "
                "collimator 'none'"
            )
        if self.collimator == "none" and self.border not in ("random", "none"):
            raise UsageError(
                f"border: found {self.border!r} with collimator 'none', which leaves no border; give another "
                "collimator, or border 'none'"
            )
        if self.border == "jpeg" and self.bits != 8:
            raise UsageError(
                f"border: found 'jpeg' with {self.bits} bits, wanted bits 8, as JPEG has; drop one of them"
            )

    @property
    def asked(self) -> dict[str, Any]:
        """The options for a recipe, without those at their default that the first version did not have.

        So the files of a dataset for which none of them was asked are still what they were.
        """
        added = ("bits", "border", "collimator", "wire_width")
        fields = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: getattr(self, name)
            for name, default in fields.items()
            if name not in added or getattr(self, name) != default
        }


def _spell(size: Size) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
