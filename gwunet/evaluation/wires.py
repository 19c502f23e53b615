"""Predicted wires of a frame beside the true ones: which is which, and how far apart they are.

Definitions stand in documentation/reference/metrics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gwunet.errors import FrameError
from gwunet.evaluation.curves import Curve, distances_px, frechet_px, resampled

REACH_PX = 20.0
"""A point further from the other curve than this counts as if it were this far when wires are matched."""
GATE_PX = REACH_PX / 2
"""Wires whose curve distance is at least this are not the same wire: half of their points may be out of reach."""
NEAR_PX = 3.0
"""A point of a curve is covered when the other curve is at most so far."""


class Wire(Protocol):
    """What is compared; a ``Guidewire`` is one."""

    @property
    def centreline(self) -> Curve:
        """``(N, 2)`` row, column from base to tip."""

    @property
    def identity(self) -> int | None:
        """Number of the wire, the same in all frames of a sequence; None where frames are not tracked."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainWire:
    """A wire of which only the centreline is known, as from a file."""

    centreline: Curve
    identity: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WireMatch:
    """A predicted wire and the true one it is taken for; distances in pixels."""

    reference: int
    """Position of the true wire in its frame."""
    predicted: int
    reference_identity: int | None
    predicted_identity: int | None
    tip_error_px: float
    """Between the tips, the last points."""
    base_error_px: float
    """Between the bases, the first points."""
    mean_distance_px: float
    """Mean of the two directed mean distances of the curves."""
    hausdorff_px: float
    """Largest distance of a point of either curve to the other curve."""
    frechet_px: float
    """Discrete Fréchet distance, walked from base to tip."""
    precision: float
    """Part of the predicted curve that is at most ``NEAR_PX`` from the true one."""
    recall: float
    """Part of the true curve that is at most ``NEAR_PX`` from the predicted one."""
    ends_swapped: bool
    """The sum of tip and base error would be smaller with the predicted ends exchanged."""
    is_tip_known: bool = True
    """Whether the reference says which end is the tip; where not, the ends are paired as fits best."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WireScore:
    """The wires of one frame."""

    case: str
    n_reference: int
    n_predicted: int
    matches: tuple[WireMatch, ...]
    """By position of the true wire."""

    @property
    def missed(self) -> tuple[int, ...]:
        """Positions of the true wires without a predicted one."""
        found = {match.reference for match in self.matches}
        return tuple(wire for wire in range(self.n_reference) if wire not in found)

    @property
    def false(self) -> tuple[int, ...]:
        """Positions of the predicted wires without a true one."""
        used = {match.predicted for match in self.matches}
        return tuple(wire for wire in range(self.n_predicted) if wire not in used)


def score_wires(case: str, reference: Sequence[Wire], predicted: Sequence[Wire]) -> WireScore:
    """Match the wires of a frame and measure each pair.

    Wires are matched so that the sum of their curve distances is least, an unmatched pair counting ``GATE_PX``.

    Args:
        case: name of the frame, for messages and tables.
        reference: true wires.
        predicted: found wires.

    Raises:
        FrameError: a centreline has no points, another shape or a coordinate that is no number.
    """
    curves = [
        [resampled(_checked(case, side, wire)) for wire in wires]
        for side, wires in (("reference", reference), ("predicted", predicted))
    ]
    distances = [[_Distances.of(one, other) for other in curves[1]] for one in curves[0]]
    cost = np.array([[pair.capped_px for pair in row] for row in distances]).reshape(len(reference), len(predicted))
    matches = []
    for row, column in zip(*linear_sum_assignment(np.minimum(cost, GATE_PX)), strict=True):
        if cost[row, column] < GATE_PX:
            pair, curve, other = distances[row][column], curves[0][row], curves[1][column]
            matches.append(_match(int(row), int(column), reference[row], predicted[column], pair, curve, other))
    return WireScore(case=case, n_reference=len(reference), n_predicted=len(predicted), matches=tuple(matches))


def _checked(case: str, side: str, wire: Wire) -> Curve:
    curve = np.asarray(wire.centreline, dtype=np.float64)
    if curve.ndim != 2 or curve.shape[1] != 2 or not len(curve) or not np.isfinite(curve).all():
        raise FrameError(
            f"{case}: a {side} centreline has the shape {curve.shape} or numbers that are not finite; wanted (N, 2) "
            "finite numbers, N at least 1"
        )
    return curve


@dataclass(frozen=True, slots=True, eq=False)
class _Distances:
    """Of the points of two curves to the other curve."""

    to_predicted: NDArray[np.float64]
    to_reference: NDArray[np.float64]

    @classmethod
    def of(cls, reference: Curve, predicted: Curve) -> "_Distances":
        return cls(distances_px(reference, predicted), distances_px(predicted, reference))

    @property
    def mean_px(self) -> float:
        return float(self.to_predicted.mean() + self.to_reference.mean()) / 2

    @property
    def capped_px(self) -> float:
        """A wire of which a part is missing is still the same wire, so far points must not count without limit."""
        capped = (np.minimum(each, REACH_PX).mean() for each in (self.to_predicted, self.to_reference))
        return float(sum(capped)) / 2


def curve_distance_px(curve: Curve, other: Curve) -> float:
    """By what wires are matched: mean of the two directed mean distances, a point counting ``REACH_PX`` at most."""
    return _Distances.of(resampled(curve), resampled(other)).capped_px


def _match(
    row: int, column: int, reference: Wire, predicted: Wire, distances: _Distances, curve: Curve, other: Curve
) -> WireMatch:
    tip, base = math.dist(curve[-1], other[-1]), math.dist(curve[0], other[0])
    swapped = math.dist(curve[-1], other[0]) + math.dist(curve[0], other[-1])
    return WireMatch(
        reference=row,
        predicted=column,
        reference_identity=reference.identity,
        predicted_identity=predicted.identity,
        tip_error_px=tip,
        base_error_px=base,
        mean_distance_px=distances.mean_px,
        hausdorff_px=float(max(distances.to_predicted.max(), distances.to_reference.max())),
        frechet_px=frechet_px(curve, other),
        precision=float((distances.to_reference <= NEAR_PX).mean()),
        recall=float((distances.to_predicted <= NEAR_PX).mean()),
        ends_swapped=swapped < tip + base,
    )
