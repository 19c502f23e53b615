"""Wires are measured against lines drawn by hand; a dataset's counts against arithmetic."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from gwunet import fingerprint
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError
from gwunet.exposed_field import Border
from gwunet.fingerprint import Spread, extract_fingerprint, measure_wire


@pytest.mark.parametrize("width_px", range(1, 8))
@pytest.mark.parametrize("turned", [False, True], ids=["horizontal", "vertical"])
def test_the_width_of_a_straight_line(width_px: int, turned: bool) -> None:
    """Exact for odd widths; an even one has no pixel in its middle and may come out one smaller."""
    wire = np.zeros((40, 120), bool)
    wire[15 : 15 + width_px, 10:110] = True
    (median, _), length, pieces, endpoints = measure_wire(wire.T if turned else wire)
    assert median == width_px if width_px % 2 else width_px - 1 <= median <= width_px
    assert length == pytest.approx(99, abs=width_px)
    assert (pieces, endpoints) == (1, 2)


@pytest.mark.parametrize("width_px", [3, 5, 7])
def test_the_width_and_length_of_a_diagonal_line(width_px: int) -> None:
    rows, columns = np.indices((120, 120))
    along, across = (rows + columns) / math.sqrt(2), (rows - columns) / math.sqrt(2)
    wire = (abs(across) <= width_px / 2) & (along >= 30) & (along <= 130)
    (median, high), length, pieces, endpoints = measure_wire(wire)
    assert median == pytest.approx(width_px, abs=1)
    assert high == pytest.approx(width_px, abs=1.5)
    assert length == pytest.approx(100, abs=width_px + 2)  # a skeleton ends half a width before the line
    assert (pieces, endpoints) == (1, 2)


def test_a_one_pixel_diagonal_is_measured_in_full() -> None:
    (median, high), length, pieces, endpoints = measure_wire(np.eye(50, dtype=bool))
    assert (median, high, pieces, endpoints) == (1, 1, 1, 2)
    assert length == pytest.approx(49 * math.sqrt(2))


def test_two_pieces_a_ring_a_dot_and_nothing() -> None:
    two = np.zeros((30, 60), bool)
    two[10, 5:25] = two[10, 30:55] = True
    assert measure_wire(two) == ((1, 1), 19 + 24, 2, 4)
    ring = np.zeros((30, 30), bool)
    ring[5:25, 5:25] = True
    ring[6:24, 6:24] = False
    assert measure_wire(ring)[2:] == (1, 0)
    dot = np.zeros((9, 9), bool)
    dot[4, 4] = True
    assert measure_wire(dot)[1:3] == (0, 1)
    assert measure_wire(np.zeros((9, 9), bool)) == ((0, 0), 0, 0, 0)


def test_a_wire_at_the_frame_edge_is_as_wide_as_elsewhere() -> None:
    wire = np.zeros((20, 60), bool)
    wire[:3] = True
    assert measure_wire(wire)[0] == (3, 3)


def test_spread_is_that_of_numpy() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 9.0]
    spread = Spread.of(values)
    assert (spread.minimum, spread.median, spread.maximum) == (1, 4, 9)
    assert (spread.p05, spread.p95) == pytest.approx(tuple(np.percentile(values, (5, 95))))


FRAME_PIXELS, FIELD_PIXELS = 64 * 80, 44 * 60


@pytest.fixture
def dataset(make_raw_dataset: Callable[..., Dataset]) -> Dataset:
    """Six frames of 64 x 80 with borders of 10 pixels; wires of 3 x 40 in four, one of them partly ignored."""
    rng = np.random.default_rng(0)
    pairs = {}
    for index in range(6):
        frame = np.full((64, 80), 15, np.uint8)
        frame[10:54, 10:70] = rng.integers(100, 160, (44, 60))
        mask = np.zeros((64, 80), np.uint8)
        if index < 4:
            mask[20:23, 15:55] = 1
        if index == 3:
            mask[20:23, 50:55] = 2
        if index == 5:
            frame = pairs["case4"][0]
        pairs[f"case{index}"] = (frame, mask)
    origins = {f"case{i}": {"patient": f"p{i % 3}", "sequence": f"s{i % 3}{i // 5}"} for i in range(6)}
    return make_raw_dataset(pairs, labels={"background": 0, "wire": 1, "ignore": 2}, cases=origins)


def test_counts_of_a_small_dataset(dataset: Dataset) -> None:
    found = extract_fingerprint(dataset)
    assert (found.n_frames, found.dtypes) == (6, {"uint8": 6})
    assert found.borders == {"uint8": Border(level=15.0, threshold=17.37, spread=2.37)}
    assert found.frames_with_border == 6
    assert (found.height.median, found.width.median) == (64, 80)
    assert (found.field_height.median, found.field_width.median) == (44, 60)
    assert found.field_share.median == pytest.approx(FIELD_PIXELS / FRAME_PIXELS)
    wire = 3 * 120 + 105
    assert found.wire_pixels == {f"case{i}": (120, 120, 120, 105, 0, 0)[i] for i in range(6)}
    assert found.wire_share == pytest.approx(wire / (6 * FIELD_PIXELS))
    assert found.background_to_wire == pytest.approx((6 * FIELD_PIXELS - wire) / wire)
    assert found.wire_width_px == (3, 3)
    assert (found.frames_without_wire, found.components.maximum, found.endpoints.maximum) == (2, 1, 2)
    assert (found.n_patients, found.n_sequences) == (3, 4)
    assert (found.frames_per_sequence.minimum, found.frames_per_sequence.maximum) == (1, 2)
    assert found.sequences_per_patient is not None
    assert (found.sequences_per_patient.minimum, found.sequences_per_patient.maximum) == (1, 2)
    assert found.duplicates == (("case4", "case5"),)
    assert 100 <= found.intensity[0] < found.intensity[2] < found.intensity[4] < 160


def test_the_result_is_the_same_for_any_number_of_processes(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = extract_fingerprint(dataset, processes=1)
    monkeypatch.setattr(fingerprint, "FRAMES_PER_PROCESS", 1)
    assert extract_fingerprint(dataset, processes=2) == alone


def test_no_frames_are_an_error(make_raw_dataset: Callable[..., Dataset]) -> None:
    with pytest.raises(DatasetError, match="no training frames to measure"):
        extract_fingerprint(make_raw_dataset({}))
