"""Scores of one frame and of pooled frames, against scikit-learn, brute force and cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import euler_number

from gwunet.errors import FrameError
from gwunet.evaluation.geometry import betti_numbers
from gwunet.evaluation.metrics import METRICS, Tally, score, score_frame

masks = hnp.arrays(np.uint8, (9, 11), elements=st.integers(0, 1))
mask_pairs = st.tuples(masks, masks)


def frame(*rows):
    """A mask drawn with '.' background, '#' wire, '?' left out."""
    return np.array([[".#?".index(pixel) for pixel in row] for row in rows], dtype=np.uint8)


def random_pair(seed=0, density=0.2, shape=(40, 50)):
    rng = np.random.default_rng(seed)
    return [(rng.random(shape) < density).astype(np.uint8) for _ in range(2)]


def scores_of(reference, prediction, **more):
    return score_frame("case", reference, prediction, **more).scores


def brute_force_contour(mask):
    rows, columns = mask.shape
    return [
        (r, c)
        for r in range(rows)
        for c in range(columns)
        if mask[r, c]
        and any(
            not (0 <= r + dr < rows and 0 <= c + dc < columns and mask[r + dr, c + dc])
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
    ]


def brute_force_distances(reference, prediction):
    """From each contour pixel of either to the nearest of the other."""
    contours = brute_force_contour(reference), brute_force_contour(prediction)
    return [
        [min(math.dist(pixel, other) for other in contours[1 - side]) for pixel in contours[side]] for side in (0, 1)
    ]


def brute_force_betti(mask):
    """Pieces of the wire, and pieces of the background but the outer one, by flooding."""
    around = np.pad(mask, 1)
    straight = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    diagonal = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    return flooded(around == 1, straight + diagonal), flooded(around == 0, straight) - 1


def flooded(mask, steps):
    left, pieces = {(int(row), int(column)) for row, column in np.argwhere(mask)}, 0
    while left:
        pieces, waiting = pieces + 1, [left.pop()]
        while waiting:
            row, column = waiting.pop()
            near = {(row + down, column + right) for down, right in steps} & left
            left -= near
            waiting += near
    return pieces


def edge_masks(shape=(12, 15)):
    """Masks that are easily got wrong."""
    made = {name: np.zeros(shape, dtype=np.uint8) for name in ("empty", "full", "one pixel", "corner", "border", "row")}
    made["full"][:] = made["one pixel"][5, 7] = made["corner"][-1, -1] = made["row"][-1] = 1
    made["border"][[0, -1]] = made["border"][:, [0, -1]] = 1
    return made


EDGE_PAIRS = [(one, other) for one in edge_masks() for other in edge_masks()]


def pair_of(names):
    return random_pair() if names == "random" else [edge_masks()[name] for name in names]


@pytest.mark.parametrize("names", ["random", *EDGE_PAIRS], ids=str)
def test_overlap_equals_scikit_learn(names, sklearn_metrics):
    reference, prediction = pair_of(names)
    truth, guess = reference.ravel(), prediction.ravel()
    scores = scores_of(reference, prediction)
    undefined = 1.0 if not (truth.any() or guess.any()) else 0.0
    for ours, theirs in (
        ("dice", sklearn_metrics.f1_score),
        ("iou", sklearn_metrics.jaccard_score),
        ("precision", sklearn_metrics.precision_score),
        ("recall", sklearn_metrics.recall_score),
    ):
        assert scores.value(ours) == pytest.approx(theirs(truth, guess, zero_division=undefined)), ours
    wire, background = (
        sklearn_metrics.f1_score(truth, guess, pos_label=label, zero_division=zero)
        for label, zero in ((1, undefined), (0, 1.0))
    )
    assert scores.macro_f1 == pytest.approx((wire + background) / 2)
    if truth.all():
        assert scores.specificity is None
    else:
        assert scores.specificity == pytest.approx(sklearn_metrics.recall_score(truth, guess, pos_label=0))
    if truth.all() or not truth.any():
        assert scores.auc_binary is None
    else:
        assert scores.auc_binary == pytest.approx(sklearn_metrics.roc_auc_score(truth, guess))


@pytest.mark.parametrize("names", ["random", *EDGE_PAIRS], ids=str)
def test_shape_equals_brute_force(names):
    reference, prediction = pair_of(names)
    scores = scores_of(reference, prediction)
    if reference.any() and prediction.any():
        distances = brute_force_distances(reference, prediction)
        assert scores.hd95_px == pytest.approx(max(np.percentile(directed, 95) for directed in distances))
        assert scores.assd_px == pytest.approx(np.mean(np.concatenate(distances)))
    else:
        assert (scores.hd95_px, scores.assd_px) == (None, None)
    (b0, b1), (other_b0, other_b1) = brute_force_betti(reference), brute_force_betti(prediction)
    assert (scores.b0_error, scores.b1_error) == (abs(b0 - other_b0), abs(b1 - other_b1))


@settings(max_examples=40)
@given(masks)
def test_betti_numbers_have_the_euler_characteristic(mask):
    pieces, holes = betti_numbers(mask > 0)
    assert pieces - holes == euler_number(mask, connectivity=2)


@pytest.mark.parametrize(
    ("drawn", "betti"),
    [
        (["...", "...", "..."], (0, 0)),
        (["###", "###", "###"], (1, 0)),
        (["###", "#.#", "###"], (1, 1)),
        ([".#.", "#.#", ".#."], (1, 1)),
        (["#.#", "#.#", "###"], (1, 0)),
        (["#.#", "...", "#.#"], (4, 0)),
        (["#######", "#.###.#", "#######"], (1, 2)),
        (["#####", "#...#", "#.#.#", "#...#", "#####"], (2, 1)),
    ],
    ids=["empty", "full", "ring", "diamond", "open", "four pixels", "two holes", "island in a ring"],
)
def test_betti_numbers_by_hand(drawn, betti):
    assert betti_numbers(frame(*drawn) == 1) == betti


@pytest.mark.parametrize("sharpness", [1, 3, 6])
def test_auc_equals_scikit_learn(sharpness, sklearn_metrics):
    reference, _ = random_pair()
    logits = sharpness * (reference - 0.5 + np.random.default_rng(1).normal(size=reference.shape))
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    for precision in (np.float32, np.float16):
        given = probability.astype(precision)
        expected = sklearn_metrics.roc_auc_score(reference.ravel(), given.ravel())
        assert scores_of(reference, reference, probability=given).auc == pytest.approx(expected, abs=2e-5)


def test_a_frame_keeps_only_bins_that_have_pixels():
    """There are thousands of frames, and 256 levels in what is read from files."""
    reference, _ = random_pair(shape=(200, 200))
    levels = np.random.default_rng(2).integers(0, 256, reference.shape)
    tally = score_frame("a", reference, reference, (levels / 255).astype(np.float32)).tally
    assert tally.histogram.nbytes <= 256 * 3 * 4
    assert tally.histogram[1:].sum() == reference.size


def test_auc_of_few_values_is_exact(sklearn_metrics):
    reference = frame("##..", "#...")
    probability = np.array([[1, 0.5, 0.5, 0], [0.25, 0, -0.0, 0.5]], dtype=np.float32)
    expected = sklearn_metrics.roc_auc_score(reference.ravel(), probability.ravel())
    assert scores_of(reference, reference, probability=probability).auc == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("seed", "density"), [(0, 0.02), (1, 0.3), (2, 0.9)])
def test_contour_distances_equal_brute_force(seed, density):
    reference, prediction = random_pair(seed, density, shape=(17, 23))
    distances = brute_force_distances(reference, prediction)
    scores = scores_of(reference, prediction)
    assert scores.hd95_px == pytest.approx(max(np.percentile(directed, 95) for directed in distances))
    assert scores.assd_px == pytest.approx(np.mean(np.concatenate(distances)))


def test_hd95_of_a_shifted_line_is_the_shift():
    reference, prediction = np.zeros((2, 30, 30), dtype=np.uint8)
    reference[:, 10] = prediction[:, 14] = 1
    scores = scores_of(reference, prediction)
    assert (scores.hd95_px, scores.assd_px) == (4, 4)


def test_cldice_by_hand():
    # The prediction covers 6 of the line's 8 pixels; 6 of the prediction's 9 lie on the line.
    reference = frame("............", ".########...", "............")
    prediction = frame("............", "...#########", "............")
    assert scores_of(reference, prediction).cldice == pytest.approx(2 * (6 / 8) * (6 / 9) / (6 / 8 + 6 / 9))


def test_cldice_looks_at_centrelines_alone():
    thin, thick = np.zeros((2, 20, 40), dtype=np.uint8)
    thin[10, 5:35] = 1
    thick[9:12, 5:35] = 1
    scores = scores_of(thin, thick)
    assert scores.cldice > 0.95
    assert scores.dice == 0.5


@pytest.mark.parametrize("half", ["upper", "lower"])
@pytest.mark.parametrize("width", [2, 3])
def test_half_of_a_diagonal_wire_scores_alike_however_the_frame_is_turned(width, half):
    wire = np.zeros((120, 120), dtype=np.uint8)
    for row in range(10, 110):
        wire[row, row : row + width] = 1
    found = wire.copy()
    found[slice(60, None) if half == "upper" else slice(60)] = 0
    for mirrored in (False, True):
        for turns in range(4):
            pair = [np.rot90(mask.T if mirrored else mask, turns) for mask in (wire, found)]
            scores = scores_of(*pair)
            assert scores.cldice == pytest.approx(2 / 3, abs=0.02)
            assert (scores.breaks, scores.false_pieces) == (0, 0)


@pytest.mark.parametrize(
    ("prediction", "breaks", "false_pieces"),
    [
        (frame(".#########.", "...........", "...........", "..........."), 0, 0),
        (frame(".###.#####.", "...........", "...........", "..........."), 1, 0),
        (frame(".##.###.##.", "...........", "...........", "..........."), 2, 0),
        (frame(".##.###.##.", "...........", ".##.###....", "..........."), 3, 0),
        (frame(".####......", ".....#####.", "...........", "..........."), 0, 0),
        (frame(".##.#####..", "...........", "...........", "........##."), 1, 1),
        (frame("...........", "...........", "...........", "..........."), None, 0),
        (frame("...........", "...........", "...........", ".####......"), None, 1),
    ],
    ids=["whole", "one gap", "two gaps", "gaps in two wires", "diagonal", "piece elsewhere", "nothing", "elsewhere"],
)
def test_breaks_and_false_pieces_by_hand(prediction, breaks, false_pieces):
    reference = frame(".#########.", "...........", ".######....", "...........")
    scores = scores_of(reference, prediction)
    assert (scores.breaks, scores.false_pieces) == (breaks, false_pieces)


def test_wire_is_found_from_half_its_centreline_on():
    reference = frame("..........", ".########.", "..........")
    half = frame("..........", ".####.....", "..........")
    less = frame("..........", ".###......", "..........")
    assert scores_of(reference, half).wire_found == 1
    assert scores_of(reference, less).wire_found == 0


def test_tip_error_is_the_distance_to_the_nearest_endpoint():
    line = np.zeros((30, 40), dtype=np.uint8)
    line[12, 5:31] = 1
    assert scores_of(line, line, tips=[(15.0, 34.0)]).tip_error_px == pytest.approx(5)
    assert scores_of(line, line, tips=[(12.0, 30.0), (12.0, 3.0)]).tip_error_px == pytest.approx(1)
    assert scores_of(line, line).not_computed["tip_error_px"] == "no tip known"
    outside = scores_of(line, line, tips=[(40.0, 3.0)])
    assert outside.not_computed["tip_error_px"] == "no tip known"
    missed = scores_of(line, np.zeros_like(line), tips=[(12.0, 30.0)])
    assert missed.not_computed["tip_error_px"] == "no wire in the prediction"


def test_tip_error_of_a_closed_loop_is_measured_to_any_of_its_pixels():
    loop = frame("......", ".####.", ".#..#.", ".####.", "......")
    assert scores_of(loop, loop, tips=[(0.0, 2.0)]).tip_error_px == pytest.approx(1)


def test_both_empty_scores_one():
    empty = np.zeros((8, 8), dtype=np.uint8)
    scores = scores_of(empty, empty, probability=np.zeros((8, 8), dtype=np.float32))
    overlap = ("dice", "iou", "precision", "recall", "specificity", "macro_f1", "cldice")
    assert {scores.value(name) for name in overlap} == {1}
    assert (scores.b0_error, scores.b1_error) == (0, 0)
    assert set(scores.not_computed) == {"hd95_px", "assd_px", "auc", "auc_binary", "wire_found", "tip_error_px"}
    assert scores.not_computed["hd95_px"] == "no wire in the reference nor in the prediction"
    assert scores.not_computed["auc"] == "no wire in the reference"


@pytest.mark.parametrize("empty_side", ["reference", "prediction"])
def test_one_side_empty_scores_zero(empty_side):
    wire, empty = frame("....", ".##.", "...."), np.zeros((3, 4), dtype=np.uint8)
    reference, prediction = (empty, wire) if empty_side == "reference" else (wire, empty)
    scores = scores_of(reference, prediction)
    assert {scores.value(name) for name in ("dice", "iou", "precision", "recall", "cldice")} == {0}
    assert scores.hd95_px is None
    assert scores.not_computed["hd95_px"] == f"no wire in the {empty_side}"
    assert (scores.auc_binary is None) == (empty_side == "reference")
    assert (scores.false_pieces, scores.wire_found) == ((1, None) if empty_side == "reference" else (0, 0))


def test_frame_without_background():
    full = np.ones((8, 8), dtype=np.uint8)
    scores = scores_of(full, full, probability=full.astype(np.float32))
    assert (scores.dice, scores.macro_f1) == (1, 1)
    assert {scores.not_computed[name] for name in ("specificity", "auc", "auc_binary")} == {
        "no background in the reference"
    }


def test_a_frame_that_is_left_out_whole_has_no_scores():
    left_out, wire = np.full((3, 4), 2, dtype=np.uint8), frame("....", ".##.", "....")
    for prediction in (np.zeros_like(wire), wire):
        scores = scores_of(left_out, prediction, probability=prediction.astype(np.float32), tips=[(1, 1)])
        assert {scores.value(name) for name in METRICS} == {None}
        assert set(scores.not_computed.values()) == {"every pixel is left out"}


def test_a_missed_wire_has_no_breaks_alone_but_those_of_the_others_when_pooled():
    wire = frame(".#########.", "...........")
    pairs = [(wire, frame(".###...###.", "...........")), (wire, np.zeros_like(wire)), (np.zeros_like(wire), wire)]
    each = [score_frame(str(number), *pair) for number, pair in enumerate(pairs)]
    assert [one.scores.breaks for one in each] == [1, None, 0]
    assert each[1].scores.not_computed["breaks"] == "nothing of the wire is predicted"
    assert score(Tally.pool([one.tally for one in each])).breaks == 1


def test_left_out_pixels_count_nowhere():
    reference = frame("......??", ".####.??", "......??")
    prediction = frame("......##", ".####.##", "......##")
    probability = np.where(prediction == 1, np.float32(1), np.float32(0))
    result = score_frame("case", reference, prediction, probability, tips=[(1.0, 4.0), (1.0, 7.0)])
    assert (result.tally.counts.tp, result.tally.counts.fp, result.tally.counts.tn) == (4, 0, 14)
    scores = result.scores
    assert (scores.dice, scores.auc, scores.hd95_px, scores.false_pieces, scores.tip_error_px) == (1, 1, 0, 0, 0)


@given(mask_pairs)
def test_ranges_and_reasons(pair):
    scores = scores_of(*pair)
    for name in METRICS:
        value = scores.value(name)
        assert (value is None) == (name in scores.not_computed)
        assert value is None or math.isfinite(value)
        if value is not None:
            assert value >= 0
            assert value <= 1 or name.endswith(("_px", "_pieces", "_error")) or name == "breaks"


@given(mask_pairs)
def test_symmetric_scores_stay_when_masks_swap(pair):
    scores, swapped = scores_of(*pair), scores_of(*pair[::-1])
    for name in ("dice", "iou", "macro_f1", "cldice", "hd95_px", "b0_error", "b1_error"):
        assert scores.value(name) == swapped.value(name)
    assert (scores.precision, scores.recall) == (swapped.recall, swapped.precision)


@given(masks)
def test_perfect_prediction(mask):
    scores = scores_of(mask, mask)
    assert {scores.dice, scores.iou, scores.precision, scores.recall, scores.cldice, scores.macro_f1} == {1}
    assert {scores.breaks, scores.false_pieces, scores.b0_error, scores.b1_error} == {0}
    assert scores.hd95_px == (0 if mask.any() else None)


@settings(max_examples=50)
@given(st.lists(mask_pairs, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_pooled_equals_one_large_frame(pairs, seed):
    probabilities = np.random.default_rng(seed).random((len(pairs), 9, 11)).astype(np.float32)
    pooled = score(Tally.pool([score_frame("", *pair, p).tally for pair, p in zip(pairs, probabilities, strict=True)]))
    # An empty band keeps pieces apart, so that only distances could tell the frames in one picture from several.
    banded = [[np.pad(mask, ((0, 40), (0, 0))) for mask in pair] for pair in pairs]
    large = scores_of(*(np.concatenate([pair[side] for pair in banded]) for side in (0, 1)))
    assert pooled.cldice == pytest.approx(large.cldice)
    tight = scores_of(
        *(np.concatenate([pair[side] for pair in pairs]) for side in (0, 1)), probability=probabilities.reshape(-1, 11)
    )
    for name in ("dice", "iou", "precision", "recall", "specificity", "macro_f1", "auc", "auc_binary"):
        assert pooled.value(name) == pytest.approx(tight.value(name), nan_ok=False)
    if all(reference.any() and prediction.any() for reference, prediction in pairs):
        assert pooled.hd95_px == pytest.approx(large.hd95_px)
        assert pooled.assd_px == pytest.approx(large.assd_px)


def test_bad_input_is_refused_by_name():
    mask = np.zeros((8, 9), dtype=np.uint8)
    with pytest.raises(FrameError, match="run_7: the prediction is 9 x 8, the reference 8 x 9"):
        score_frame("run_7", mask, mask.T)
    with pytest.raises(FrameError, match="the prediction holds the values 0, 255"):
        score_frame("run_7", mask, np.where(np.eye(8, 9) > 0, 255, 0).astype(np.uint8))
    with pytest.raises(FrameError, match="the reference holds the values 3"):
        score_frame("run_7", mask + 3, mask)
    for impossible in (1.5, -0.1, math.nan):
        with pytest.raises(FrameError, match=r"must lie in \[0, 1\]"):
            score_frame("run_7", mask, mask, np.full(mask.shape, impossible, dtype=np.float32))
