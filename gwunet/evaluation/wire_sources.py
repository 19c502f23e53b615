"""Where the true and the predicted wires of each case come from: files, or masks in which they are located."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import SchemaError
from gwunet.evaluation.centreline_file import CENTRELINES_NAME, KnownWires, read_centrelines
from gwunet.evaluation.curves import resampled
from gwunet.evaluation.localization import with_identities
from gwunet.evaluation.wires import PlainWire, Wire, WireScore, score_wires
from gwunet.localization import Guidewire, locate_guidewires
from gwunet.localization.locating import shortest_wire_px

TrueWires = Literal["auto", "masks", "none"]
"""Where the true wires come from: a file alone; masks where there is no file; nowhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseWires:
    """The wires of one case; None where they are to be located in its mask."""

    reference: Sequence[Wire] | None
    predicted: Sequence[Wire] | None

    @property
    def needs_masks(self) -> bool:
        """Whether any are to be located."""
        return self.reference is None or self.predicted is None

    def score(
        self,
        case: str,
        reference: NDArray[np.bool_],
        predicted: NDArray[np.bool_],
        field: NDArray[np.bool_] | None = None,
        left_out: NDArray[np.bool_] | None = None,
    ) -> WireScore:
        """Compare them.

        Args:
            case: for messages and tables.
            reference: (H, W) the true mask, without wire on left-out pixels.
            predicted: (H, W) the same.
            field: (H, W) the exposed field, where it is known; without it a wire that comes in at a collimator has two
                free ends, and which is the tip is a guess.
            left_out: (H, W) pixels that are not judged; None for none.
        """
        found = (
            locate_guidewires(predicted, field=field) if self.predicted is None else _judged(self.predicted, left_out)
        )
        if self.reference is not None:
            return score_wires(case, _judged(self.reference, left_out), found)
        return _score_located(case, locate_guidewires(reference, field=field), found)


def _judged(wires: Sequence[Wire], left_out: NDArray[np.bool_] | None) -> Sequence[Wire]:
    """Wires of a file as masks would have them: they end where their last pixels are left out, or are none."""
    if left_out is None or not left_out.any():
        return wires
    judged: list[Wire] = []
    for wire in wires:
        curve = resampled(wire.centreline)
        rows, columns = np.clip(np.rint(curve), 0, np.array(left_out.shape) - 1).astype(np.intp).T
        is_judged = ~left_out[rows, columns]
        if is_judged.all():
            judged.append(wire)
        elif np.count_nonzero(is_judged) >= shortest_wire_px(left_out.shape):
            first, last = np.flatnonzero(is_judged)[[0, -1]]
            judged.append(PlainWire(curve[first : last + 1], wire.identity))
    return judged


def _score_located(case: str, true: Sequence[Guidewire], found: Sequence[Wire]) -> WireScore:
    """Where the reference itself only guesses which end is the tip, the prediction's guess is not held against it."""
    unknown = {number for number, wire in enumerate(true) if "base_uncertain" in wire.flags}
    score = score_wires(case, true, found)
    turned = {match.reference for match in score.matches if match.ends_swapped} & unknown
    if turned:
        curves = [wire.centreline[::-1] if number in turned else wire.centreline for number, wire in enumerate(true)]
        score = score_wires(case, [PlainWire(curve) for curve in curves], found)
    matches = [dataclasses.replace(match, is_tip_known=match.reference not in unknown) for match in score.matches]
    return dataclasses.replace(score, matches=tuple(matches))


@dataclass(frozen=True, kw_only=True, slots=True)
class WireSources:
    """The same for all cases."""

    cases: Mapping[str, CaseWires]
    """Those whose wires are judged."""
    reference: str
    """``centrelines.json`` or ``masks``."""
    prediction: str


def read_known_wires(reference: Path) -> dict[str, KnownWires]:
    """Case -> true wires, from the file in the folder of reference masks or beside it; empty without one."""
    files = (path for path in (reference / CENTRELINES_NAME, reference.parent / CENTRELINES_NAME) if path.is_file())
    path = next(files, None)
    return {} if path is None else read_centrelines(path)


def find_wires(
    known: Mapping[str, KnownWires],
    prediction: Path,
    cases: Sequence[str],
    sequences: Iterable[Sequence[str]],
    wires: TrueWires,
) -> WireSources | None:
    """Decide for each case; None where no wires are judged.

    Args:
        known: case -> true wires, from ``read_known_wires``.
        prediction: folder of predicted masks, perhaps with a ``centrelines.json``.
        cases: those that are scored.
        sequences: the same by sequence in the order of time, where known, to number the true wires.
        wires: where the true ones come from.

    Raises:
        SchemaError: the file in ``prediction`` lacks a case or has another form.
    """
    true: dict[str, Sequence[Wire]] = {
        case: known[case].wires or () for case in cases if case in known and known[case].wires is not None
    }
    if wires == "none" or not (true or wires == "masks"):
        return None
    for sequence in sequences:
        of_sequence = [case for case in sequence if case in true]
        true |= dict(zip(of_sequence, with_identities([true[case] for case in of_sequence]), strict=True))
    judged = cases if not true else [case for case in cases if case in true]
    predicted = _predicted(prediction / CENTRELINES_NAME, judged)
    return WireSources(
        cases={case: CaseWires(reference=true.get(case), predicted=predicted(case)) for case in judged},
        reference=CENTRELINES_NAME if true else "masks",
        prediction=CENTRELINES_NAME if (prediction / CENTRELINES_NAME).is_file() else "masks",
    )


def _predicted(path: Path, cases: Sequence[str]) -> Callable[[str], Sequence[Wire] | None]:
    if not path.is_file():
        return lambda _: None
    found = read_centrelines(path)
    for case in cases:
        if case not in found or found[case].wires is None:
            raise SchemaError(f"{path}: has no centrelines of {case}, which has a mask here; predict the folder again")
    return lambda case: found[case].wires
