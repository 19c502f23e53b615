"""Wires are measured against lines drawn by hand; a dataset's counts against arithmetic."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from gwunet import fingerprint, parallel
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError
from gwunet.exposed_field import Border
from gwunet.fingerprint import BORDER_SAMPLE_PX, Fingerprint, Spread, measure_wire, sample_border, source_of
from gwunet.jsonio import read_json, write_json
from gwunet.preparation import extract_fingerprint


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


@given(arrays(np.uint8, st.integers(1, 300)) | arrays(np.uint16, st.integers(1, 50)))
def test_counted_percentiles_are_numpys(values: np.ndarray) -> None:
    expected = np.percentile(values, fingerprint.INTENSITY_PERCENTS)
    np.testing.assert_allclose(fingerprint._percentiles(values), expected, atol=6e-4)


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_distances_are_those_of_the_distance_transform(wire: np.ndarray) -> None:
    wire = np.pad(wire, 1)
    if wire.any():
        np.testing.assert_allclose(fingerprint._distances(wire), ndimage.distance_transform_edt(wire))


def test_the_result_is_the_same_for_any_number_of_processes(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = extract_fingerprint(dataset, processes=1)
    assert extract_fingerprint(dataset, processes=2) == alone  # threads
    monkeypatch.setattr(parallel, "FRAMES_PER_PROCESS", 1)
    assert extract_fingerprint(dataset, processes=2) == alone


@pytest.fixture
def partly_outside(make_raw_dataset: Callable[..., Dataset]) -> Dataset:
    """Eight frames whose field begins at column 20; in case0 to case6 the wire of 3 x 40 begins 19 to 13 before it."""
    rng = np.random.default_rng(0)
    pairs = {}
    for index in range(8):
        frame = np.full((64, 80), 15, np.uint8)
        frame[:, 20:] = rng.integers(100, 160, (64, 60))
        mask = np.zeros((64, 80), np.uint8)
        first = 1 + index if index < 7 else 20
        mask[30:33, first : first + 40] = 1
        pairs[f"case{index}"] = (frame, mask)
    return make_raw_dataset(pairs)


def test_wire_annotated_outside_the_field_is_counted_and_warned_of(
    partly_outside: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    found = extract_fingerprint(partly_outside)
    outside = {f"case{index}": 3 * (19 - index) for index in range(7)}
    assert found.wire_outside_px == outside
    assert found.wire_pixels == {**{case: 120 - px for case, px in outside.items()}, "case7": 120}
    (message,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "in 7 of 8 frames more than 1 % of the wire is annotated outside the exposed field" in message
    assert "case0 (48% of 120 px), case1 (45% of 120 px)" in message
    assert "case4" in message
    assert "case5" not in message
    assert "and 2 more" in message


def test_wire_inside_the_field_is_not_warned_of(dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    assert extract_fingerprint(dataset).wire_outside_px == {}
    assert not caplog.records


def test_one_mask_far_too_thick_does_not_make_the_wires_thick(make_raw_dataset: Callable[..., Dataset]) -> None:
    """It would decide how often the loss thins wires."""
    frame = np.random.default_rng(0).integers(100, 160, (64, 80)).astype(np.uint8)
    pairs = {}
    for index in range(40):
        mask = np.zeros((64, 80), np.uint8)
        mask[20 : 51 if index == 7 else 23, 15:55] = 1
        pairs[f"case{index:02d}"] = (frame, mask)
    assert extract_fingerprint(make_raw_dataset(pairs)).wire_width_px == (3, 3)


def test_a_sample_of_a_border_does_not_keep_the_frame() -> None:
    frame = np.zeros((512, 512), np.uint16)
    frame[100:400, 100:400] = 3000
    _, sample = sample_border(frame)
    assert 0 < sample.pixels.size < 2 * BORDER_SAMPLE_PX
    assert sample.pixels.base is None


def test_no_frames_are_an_error(make_raw_dataset: Callable[..., Dataset]) -> None:
    with pytest.raises(DatasetError, match="no training frames to measure"):
        extract_fingerprint(make_raw_dataset({}))


def with_cases(dataset: Dataset, **known: list[Any]) -> Dataset:
    """The dataset with values for its cases in order."""
    names = list(known)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*known.values(), strict=True)]
    cases = tuple(dataclasses.replace(case, **row) for case, row in zip(dataset.training, rows, strict=True))
    return dataclasses.replace(dataset, training=cases)


def test_nothing_is_known_of_spacing_rate_and_sites_of_plain_pictures(dataset: Dataset) -> None:
    found = extract_fingerprint(dataset)
    assert (found.pixel_spacing_mm, found.spacing_plane, found.frame_rate_hz) == (None, None, None)
    assert (found.frames_with_spacing, found.frames_with_rate, found.sites) == ({}, 0, {})


def test_spacings_at_the_patient_go_before_those_at_the_detector(dataset: Dataset) -> None:
    spacings = [(0.2, 0.25), (0.3, 0.35), (0.1, 0.15), (9.0, 9.0), (9.0, 9.0), None]
    planes = ["patient", "patient", "patient", "detector", "detector", None]
    found = extract_fingerprint(with_cases(dataset, pixel_spacing_mm=spacings, spacing_plane=planes))
    assert (found.pixel_spacing_mm, found.spacing_plane) == ((0.2, 0.25), "patient")
    assert found.frames_with_spacing == {"detector": 2, "patient": 3}
    planes = ["detector" if plane else None for plane in planes]
    found = extract_fingerprint(with_cases(dataset, pixel_spacing_mm=spacings, spacing_plane=planes))
    assert (found.pixel_spacing_mm, found.spacing_plane) == ((0.3, 0.35), "detector")


def test_frame_rate_and_sites(dataset: Dataset) -> None:
    times, sites = [125.0, 125.0, 40.0, None, 125.0, None], ["north", "south", "north", None, "north", None]
    found = extract_fingerprint(with_cases(dataset, frame_time_ms=times, site=sites))
    assert (found.frame_rate_hz, found.frames_with_rate) == (8, 4)
    assert found.sites == {"north": 3, "south": 1}


FINGERPRINT_0_1 = """{
  "schema_version": 1, "dataset": "Dataset900_Simulated", "n_frames": 2, "dtypes": {"uint8": 2},
  "borders": {"uint8": {"level": 15.0, "threshold": 20.0, "spread": 2.0}}, "frames_with_border": 2,
  "height": {"median": 64.0, "p05": 64.0, "p95": 64.0, "minimum": 64.0, "maximum": 64.0},
  "width": {"median": 80.0, "p05": 80.0, "p95": 80.0, "minimum": 80.0, "maximum": 80.0},
  "field_height": {"median": 44.0, "p05": 44.0, "p95": 44.0, "minimum": 44.0, "maximum": 44.0},
  "field_width": {"median": 60.0, "p05": 60.0, "p95": 60.0, "minimum": 60.0, "maximum": 60.0},
  "field_share": {"median": 0.5, "p05": 0.5, "p95": 0.5, "minimum": 0.5, "maximum": 0.5},
  "intensity": [100.0, 103.0, 129.0, 156.0, 159.0],
  "mean": {"median": 129.5, "p05": 129.5, "p95": 129.5, "minimum": 129.5, "maximum": 129.5},
  "std": {"median": 17.0, "p05": 17.0, "p95": 17.0, "minimum": 17.0, "maximum": 17.0},
  "wire_share": 0.04, "background_to_wire": 24.0, "wire_width_px": [3.0, 3.0],
  "centreline_px": {"median": 38.0, "p05": 38.0, "p95": 38.0, "minimum": 38.0, "maximum": 38.0},
  "components": {"median": 1.0, "p05": 1.0, "p95": 1.0, "minimum": 1.0, "maximum": 1.0},
  "endpoints": {"median": 2.0, "p05": 2.0, "p95": 2.0, "minimum": 2.0, "maximum": 2.0},
  "frames_without_wire": 0,
  "frames_per_sequence": {"median": 1.0, "p05": 1.0, "p95": 1.0, "minimum": 1.0, "maximum": 1.0},
  "n_sequences": 2, "n_patients": null, "sequences_per_patient": null, "duplicates": [],
  "wire_pixels": {"a": 120, "b": 120}, "pixel_spacing_mm": null, "frame_rate_hz": null
}"""
"""As gwunet 0.1 wrote it."""


def test_a_fingerprint_of_0_1_is_read_and_counts_as_not_up_to_date(tmp_path: Path, dataset: Dataset) -> None:
    (tmp_path / "fingerprint.json").write_text(FINGERPRINT_0_1)
    found = read_json(Fingerprint, tmp_path / "fingerprint.json")
    assert (found.n_frames, found.wire_pixels, found.frames_with_spacing) == (2, {"a": 120, "b": 120}, {})
    assert found.source is None
    assert found.wire_outside_px == {}
    assert found.borders["uint8"].depths == {}


def test_a_fingerprint_survives_its_file_and_names_its_source(tmp_path: Path, dataset: Dataset) -> None:
    spacings, planes = [(0.2, 0.25)] * 6, ["patient"] * 6
    taken = with_cases(dataset, pixel_spacing_mm=spacings, spacing_plane=planes)
    found = extract_fingerprint(taken)
    write_json(tmp_path / "fingerprint.json", found)
    assert read_json(Fingerprint, tmp_path / "fingerprint.json") == found
    assert found.source == source_of(taken) != source_of(dataset)
