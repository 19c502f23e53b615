"""How exactly wires are located in true masks of known geometry, and how long it takes.

    OMP_NUM_THREADS=1 python benchmarks/localization.py [--frames 1000] [--pairs 500] [--turned 100]

One wire in a frame: of five kinds and 1.5 to 6 px wide, in fields of all shapes. Two wires: half of the pairs cross,
the others keep apart, touch or run side by side; beside it what labels of connected components alone would give. Frames
with one wire are also turned and mirrored: the ends should move with the picture, to the last digit. A
mask has the pixels whose centres lie within half a width of the true line, as those of ``gwunet.synthetic`` do. Errors
are in pixels; the time is that of ``locate_guidewires`` alone, on one core.
"""

import argparse
import dataclasses
import platform
import statistics
import time
from collections.abc import Iterable

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.evaluation.curves import distances_px
from gwunet.localization import Guidewire, locate_guidewires
from gwunet.synthetic.collimator import sample_aperture
from gwunet.synthetic.curves import headings_of, normals_of, random_curve, smooth_turns, trace
from gwunet.synthetic.raster import footprint

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]

WIDTH_RANGE_PX = (1.5, 6.0)
MIN_LENGTH_PX = 60
BEYOND_PX = 8
"""Points drawn beyond the field's border, where the wire goes on."""
CLEAR_PX = 3.0
"""An end this far within the field, beyond its own round end, does not leave it; nearer ones are not drawn."""
SEPARATED_SHARE = 0.95
"""Two wires are rightly separated if so much of each true line lies along its own located line, and vice versa."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """A wire that is drawn: what of it lies in the field."""

    centreline: Points
    """(N, 2) from base to tip."""
    drawn: Points
    """The same with a few points beyond the field's border."""
    width_px: float
    kind: str
    base_leaves: bool
    tip_leaves: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """One wire beside its truth, pixels."""

    truth: Truth
    found: int
    """Number of wires located."""
    tip_error: float
    """With the ends in the better order: their order is judged apart."""
    base_error: float
    centreline: float
    """Mean distance, of both directions."""
    swapped: bool
    uncertain: bool
    said_to_leave: bool
    milliseconds: float


# Geometry -----------------------------------------------------------------------------------------------------------


def draw(curves: Iterable[tuple[Points, float]], field: Mask) -> Mask:
    """(H, W) mask of curves with their widths."""
    mask = np.zeros(field.shape, np.bool_)
    for points, width_px in curves:
        mask |= footprint(points, field.shape, width_px / 2).distance_image(np.inf) <= width_px / 2
    return mask & field


def plain(rng: np.random.Generator, edge: int) -> Points:
    """A wire that comes in from beyond the frame and ends somewhere in it, its tip bent."""
    side = rng.uniform(0, edge)
    start, heading = [
        (np.array([side, -10.0]), 0.0),
        (np.array([side, edge + 10.0]), np.pi),
        (np.array([-10.0, side]), np.pi / 2),
        (np.array([edge + 10.0, side]), -np.pi / 2),
    ][rng.integers(4)]
    length = int(rng.uniform(0.3, 1.3) * edge)
    headings = headings_of(random_curve(rng, start, heading + rng.uniform(-0.7, 0.7), length, rng.uniform(1, 5) / edge))
    tip = min(int(edge * rng.uniform(0.04, 0.1)), length // 3)
    headings[-tip:] += rng.uniform(-2.6, 2.6) * np.linspace(0, 1, tip) ** 1.5
    return trace(start, headings)


def looped(rng: np.random.Generator, edge: int) -> Points:
    """As ``plain``, with a whole turn somewhere, so that it crosses itself."""
    points = plain(rng, edge)
    headings = headings_of(points)
    radius = rng.uniform(12, 60)
    turn = 2 * np.pi * rng.uniform(0.95, 1.05) * rng.choice([-1, 1])
    count = int(radius * abs(turn))
    at = int(len(headings) * rng.uniform(0.3, 0.7))
    ramp = turn * np.arange(1, count + 1) / count
    return trace(points[0], np.concatenate([headings[:at], headings[at] + ramp, headings[at:] + turn]))


def within(rng: np.random.Generator, edge: int) -> Points:
    """A wire with both ends in the frame, mostly."""
    start = rng.uniform(0.2, 0.8, 2) * edge
    return random_curve(
        rng, start, rng.uniform(0, 2 * np.pi), int(rng.uniform(0.15, 0.5) * edge), rng.uniform(1, 8) / edge
    )


def crossing_through(rng: np.random.Generator, edge: int) -> Points:
    """A wire long enough to leave the frame again."""
    points = plain(rng, edge)
    heading = headings_of(points)[0]
    return random_curve(rng, points[0], heading, 2 * edge, rng.uniform(0.5, 3) / edge)


def winding(rng: np.random.Generator, edge: int) -> Points:
    """As ``plain``, in many bends, as in coronary vessels: it may cross or touch itself anywhere."""
    points = plain(rng, edge)
    headings = headings_of(points)
    return trace(points[0], headings + np.cumsum(smooth_turns(rng, len(headings), 10 / edge, 0.05 * edge)))


KINDS = {"plain": plain, "loop": looped, "within": within, "through": crossing_through, "winding": winding}


def sample_truth(rng: np.random.Generator, kind: str, field: Mask) -> Truth:
    """A wire of a kind whose part in the field is in one piece."""
    while True:
        points = KINDS[kind](rng, field.shape[0])
        width_px = float(rng.uniform(*WIDTH_RANGE_PX))
        truth = in_field(points, width_px, kind, field)
        if truth is not None:
            return truth


def in_field(points: Points, width_px: float, kind: str, field: Mask) -> Truth | None:
    """What a field shows of a wire; None if that is too short, in pieces, or unclear at an end."""
    pixels = np.rint(points).astype(int)
    inside = ((pixels >= 0) & (pixels < field.shape)).all(axis=1)
    inside[inside] = field[tuple(pixels[inside].T)]
    runs = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    if len(runs) != 2 or runs[1] - runs[0] < MIN_LENGTH_PX:
        return None
    seen = points[runs[0] : runs[1]]
    drawn = points[max(0, runs[0] - BEYOND_PX) : runs[1] + BEYOND_PX]
    leaves = runs[0] > 0, runs[1] < len(points)
    for end, left in zip((seen[0], seen[-1]), leaves, strict=True):
        if not left and not _all_field(field, end, width_px / 2 + CLEAR_PX):
            return None
    if leaves == (False, True):  # it comes in where the only border is
        seen, drawn, leaves = seen[::-1], drawn[::-1], (True, False)
    return Truth(
        centreline=seen,
        drawn=drawn,
        width_px=width_px,
        kind=kind,
        base_leaves=bool(leaves[0]),
        tip_leaves=bool(leaves[1]),
    )


def _all_field(field: Mask, place: Points, radius_px: float) -> bool:
    padded = np.pad(field, 8)
    rows, columns = np.mgrid[: padded.shape[0], : padded.shape[1]]
    near = np.hypot(rows - place[0] - 8, columns - place[1] - 8) <= radius_px
    return bool(padded[near].all())


# One wire -----------------------------------------------------------------------------------------------------------


def score(truth: Truth, field: Mask) -> Scored | None:
    """Locates a wire in its mask; None if there was none."""
    mask = draw([(truth.drawn, truth.width_px)], field)
    start = time.perf_counter()
    located = locate_guidewires(mask, field=field)
    milliseconds = 1000 * (time.perf_counter() - start)
    if not located:
        return None
    wire = max(located, key=lambda one: one.length_px)
    ends = np.array([wire.base, wire.tip])
    true_ends = truth.centreline[[0, -1]]
    straight = np.hypot(*(ends - true_ends).T)
    crossed = np.hypot(*(ends[::-1] - true_ends).T)
    swapped = bool(crossed.sum() < straight.sum())
    base_error, tip_error = crossed if swapped else straight
    return Scored(
        truth=truth,
        found=len(located),
        tip_error=float(tip_error),
        base_error=float(base_error),
        centreline=apart_px(truth.centreline, wire.centreline),
        swapped=swapped,
        uncertain="base_uncertain" in wire.flags,
        said_to_leave="tip_leaves_field" in wire.flags,
        milliseconds=milliseconds,
    )


def apart_px(one: Points, other: Points) -> float:
    """Mean distance of the curves, of both directions."""
    return float(distances_px(one, other).mean() + distances_px(other, one).mean()) / 2


def sample_field(rng: np.random.Generator, edge: int) -> Mask:
    return np.asarray(sample_aperture(rng, (edge, edge)) >= 0.5)


def rows_of(frames: list[tuple[Truth, Scored | None]]) -> list[str]:
    groups = {"all": frames}
    for kind in KINDS:
        groups[kind] = [(truth, one) for truth, one in frames if truth.kind == kind]
    for low, high in ((1.5, 2), (2, 3), (3, 4.5), (4.5, 6)):
        groups[f"{low:g} to {high:g} px"] = [(truth, one) for truth, one in frames if low <= truth.width_px < high]
    lines = [
        "| wire | frames | tip error median | 95 % | base error median | 95 % | centreline mean | 95 % "
        "| none | several | order wrong |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in groups.items():
        found = [one for _, one in group if one is not None]
        if not found:
            continue
        told = [one for one in found if one.truth.base_leaves != one.truth.tip_leaves]
        wrong = sum(one.swapped or one.uncertain for one in told)
        tip, base, line = ([getattr(one, key) for one in found] for key in ("tip_error", "base_error", "centreline"))
        cells = [
            name,
            str(len(group)),
            *(f"{np.median(errors):.2f} | {np.percentile(errors, 95):.2f}" for errors in (tip, base)),
            f"{np.mean(line):.2f} | {np.percentile(line, 95):.2f}",
            str(len(group) - len(found)),
            str(sum(one.found != 1 for one in found)),
            f"{wrong} of {len(told)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


# Two wires ----------------------------------------------------------------------------------------------------------


def sample_pair(rng: np.random.Generator, field: Mask, crossing: bool) -> tuple[Truth, Truth]:
    """Two wires of nearly the same width."""
    while True:
        first = sample_truth(rng, "plain", field)
        width_px = float(np.clip(first.width_px * rng.uniform(0.9, 1.1), *WIDTH_RANGE_PX))
        points = _across(rng, first.centreline) if crossing else _beside(rng, first.centreline, width_px, field)
        second = in_field(points, width_px, "crossing" if crossing else "apart", field)
        if second is not None and (nearest_px(first, second) < 0.5) == crossing:
            return first, second


def _across(rng: np.random.Generator, other: Points) -> Points:
    """Through a place of the other's middle, at an angle of 20 to 90 degrees."""
    at = int(len(other) * rng.uniform(0.15, 0.85))
    heading = headings_of(other)[max(at - 1, 0)] + rng.choice([-1, 1]) * np.deg2rad(rng.uniform(20, 90))
    ahead = random_curve(rng, other[at], heading, int(rng.uniform(60, 350)), rng.uniform(1, 4) / 512)
    behind = random_curve(rng, other[at], heading + np.pi, 800, 1.5 / 512)
    return np.concatenate([behind[:0:-1], ahead])


def _beside(rng: np.random.Generator, other: Points, width_px: float, field: Mask) -> Points:
    """A wire of its own, or one that runs beside the other for a while, 1 to 4 widths away."""
    if rng.random() < 0.5:
        return sample_truth(rng, "plain", field).centreline
    side = rng.choice([-1, 1])
    along = np.linspace(-1, 1, len(other))
    distance = width_px * (rng.uniform(1.0, 4.0) + 6 * np.abs(along - rng.uniform(-0.8, 0.8)) ** 2)
    beside = other + side * distance[:, None] * normals_of(other)
    return np.asarray(beside[: int(len(beside) * rng.uniform(0.6, 1.0))])


def nearest_px(first: Truth, second: Truth) -> float:
    return float(distances_px(first.centreline, second.centreline).min())


def separated(truths: tuple[Truth, Truth], lines: list[Points]) -> bool:
    """Whether exactly two lines were found, each along another one of the true ones."""
    if len(lines) != 2:
        return False
    return any(
        all(_along(truth, line) for truth, line in zip(truths, order, strict=True)) for order in (lines, lines[::-1])
    )


def _along(truth: Truth, line: Points) -> bool:
    reach_px = max(2.0, truth.width_px / 2)
    shares = [
        np.mean(distances_px(one, other) <= reach_px)
        for one, other in ((truth.centreline, line), (line, truth.centreline))
    ]
    return bool(min(shares) >= SEPARATED_SHARE)


def component_lines(mask: Mask) -> list[Points]:
    """What labels alone give: every component's pixels as if they were a line."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = ndimage.sum_labels(mask, labels, np.arange(1, count + 1))
    return [np.argwhere(labels == one + 1).astype(np.float64) for one in range(count) if sizes[one] >= 30]


def component_separated(truths: tuple[Truth, Truth], mask: Mask) -> bool:
    """Whether there are two components of some size, and each covers another one of the true lines."""
    pieces = component_lines(mask)
    if len(pieces) != 2:
        return False
    return any(
        all(_covers(piece, truth) for truth, piece in zip(truths, order, strict=True))
        for order in (pieces, pieces[::-1])
    )


def _covers(pixels: Points, truth: Truth) -> bool:
    nearest, _ = scipy.spatial.cKDTree(pixels).query(truth.centreline)
    farthest = distances_px(pixels, truth.centreline)
    return bool(np.mean(nearest <= 2) >= SEPARATED_SHARE and np.mean(farthest <= truth.width_px) >= SEPARATED_SHARE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two wires in a frame, and whether they were told apart."""

    crossing: bool
    touching: bool
    wires: list[Guidewire]
    by_locating: bool
    by_components: bool


def score_pair(rng: np.random.Generator, field: Mask, crossing: bool) -> Pair:
    truths = sample_pair(rng, field, crossing)
    mask = draw([(truth.drawn, truth.width_px) for truth in truths], field)
    wires = locate_guidewires(mask, field=field)
    return Pair(
        crossing=crossing,
        touching=ndimage.label(mask, np.ones((3, 3)))[1] == 1,
        wires=wires,
        by_locating=separated(truths, [wire.centreline for wire in wires]),
        by_components=component_separated(truths, mask),
    )


def pair_rows(pairs: list[Pair]) -> list[str]:
    """The table of two wires in a frame, Markdown."""
    groups: dict[str, list[Pair]] = {
        "crossing": [pair for pair in pairs if pair.crossing],
        "not crossing, one component": [pair for pair in pairs if not pair.crossing and pair.touching],
        "not crossing, apart": [pair for pair in pairs if not pair.crossing and not pair.touching],
        "all": pairs,
    }
    lines = ["| two wires | frames | separated | components alone |", "|---|---|---|---|"]
    for name, group in groups.items():
        if group:
            shares = [
                100 * statistics.fmean(getattr(pair, key) for pair in group) for key in ("by_locating", "by_components")
            ]
            lines.append(f"| {name} | {len(group)} | {shares[0]:.1f} % | {shares[1]:.1f} % |")
    return lines


# Turned and mirrored ------------------------------------------------------------------------------------------------


def turned_px(mask: Mask, field: Mask) -> list[float]:
    """How far from where they should be the ends are in a square picture's seven other positions, both, in pixels."""
    ends = longest_ends(mask, field)
    moved: list[float] = []
    for quarters in range(4):
        for mirrored in (False, True):
            pictures = [np.rot90(one[:, ::-1] if mirrored else one, quarters) for one in (mask, field)]
            if (quarters, mirrored) != (0, False):
                found = longest_ends(*pictures)
                expected = positioned(ends, quarters, mirrored, len(mask) - 1)
                # Which end is the base is judged elsewhere.
                orders = [np.hypot(*(found - order).T) for order in (expected, expected[::-1])]
                moved += min(orders, key=np.max).tolist()
    return moved


def longest_ends(mask: Mask, field: Mask) -> Points:
    """(2, 2) base and tip of the longest wire; not a number where there is none."""
    wires = locate_guidewires(np.ascontiguousarray(mask), field=np.ascontiguousarray(field))
    longest = max(wires, key=lambda one: one.length_px, default=None)
    return np.full((2, 2), np.nan) if longest is None else longest.centreline[[0, -1]]


def positioned(points: Points, quarters: int, mirrored: bool, last: int) -> Points:
    """Where points of a picture lie once it is mirrored, left to right, and turned as by ``np.rot90``."""
    rows, columns = points.T
    if mirrored:
        columns = last - columns
    for _ in range(quarters):
        rows, columns = last - columns, rows
    return np.stack([rows, columns], axis=1)


def measure_turned(frames: int, seed: int, edge: int) -> list[float]:
    """All of ``turned_px`` of the first frames of ``measure_single``."""
    moved = []
    for number in range(frames):
        rng = np.random.default_rng([seed, number])
        field = sample_field(rng, edge)
        truth = sample_truth(rng, list(KINDS)[number % len(KINDS)], field)
        moved += turned_px(draw([(truth.drawn, truth.width_px)], field), field)
    return moved


# Running ------------------------------------------------------------------------------------------------------------


def measure_single(frames: int, seed: int, edge: int) -> list[tuple[Truth, Scored | None]]:
    """As many frames, of each kind alike."""
    measured = []
    for number in range(frames):
        rng = np.random.default_rng([seed, number])
        field = sample_field(rng, edge)
        truth = sample_truth(rng, list(KINDS)[number % len(KINDS)], field)
        measured.append((truth, score(truth, field)))
    return measured


def measure_pairs(pairs: int, seed: int, edge: int) -> list[Pair]:
    measured = []
    for number in range(pairs):
        rng = np.random.default_rng([seed, number, 2])
        measured.append(score_pair(rng, sample_field(rng, edge), crossing=number % 2 == 0))
    return measured


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000, help="with one wire")
    parser.add_argument("--pairs", type=int, default=500, help="with two")
    parser.add_argument("--turned", type=int, default=100, help="of those with one wire, also in seven other positions")
    parser.add_argument("--size", type=int, default=512, help="edge of a frame, pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.frames:
        frames = measure_single(arguments.frames, arguments.seed, arguments.size)
        print("\n".join(rows_of(frames)))
        found = [one for _, one in frames if one is not None]
        elsewhere = [one for one in found if one.truth.base_leaves == one.truth.tip_leaves]
        leaving = [one for one in found if one.truth.tip_leaves]
        print()
        print(f"flagged base_uncertain elsewhere: {sum(one.uncertain for one in elsewhere)} of {len(elsewhere)}")
        print(f"tips that leave the field, flagged: {sum(one.said_to_leave for one in leaving)} of {len(leaving)}")
        times = [one.milliseconds for one in found]
        print(f"locating: median {statistics.median(times):.2f} ms, 95 % {np.percentile(times, 95):.2f} ms a frame")
        print()
    if arguments.pairs:
        print("\n".join(pair_rows(measure_pairs(arguments.pairs, arguments.seed, arguments.size))))
        print()
    if arguments.turned:
        moved = measure_turned(arguments.turned, arguments.seed, arguments.size)
        middle, high, highest = np.percentile(moved, (50, 95, 100))
        print(f"turned and mirrored: an end moves {middle:.2f} px, 95 % {high:.2f} px, at most {highest:.2f} px")
        print()
    print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, SciPy {scipy.__version__}")


if __name__ == "__main__":
    main()
