"""What is asked of the simulator stands in the frames, and nothing else changes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from gwunet.errors import UsageError
from gwunet.io.frames import read_frame
from gwunet.synthetic import SimulatedFrame, simulate_sequence, synthesize_dataset

PATIENTS = range(6)


def simulate(**options: Any) -> list[SimulatedFrame]:
    """The second frame of a sequence of each of six patients."""
    options = {"size": 128, **options}
    return [list(simulate_sequence(seed=11, patient=p, sequence=0, frames=2, **options))[1] for p in PATIENTS]


@pytest.fixture(scope="module")
def plain() -> list[SimulatedFrame]:
    return simulate()


def to_field(frame: SimulatedFrame) -> np.ndarray:
    """Distance of every pixel to the exposed field; 0 inside."""
    return np.asarray(ndimage.distance_transform_edt(~frame.exposed))


def test_without_options_all_is_as_it_was_before_there_were_any(tmp_path: Path) -> None:
    """Numbers of the version before; a changed order of drawing gives quite other ones."""
    made = tmp_path / "Dataset900_Simulated"
    synthesize_dataset(made, patients=3, sequences=1, frames=2, size=101, seed=7, test_patients=1)
    recipe = json.loads((made / "dataset.json").read_text())["simulation"]
    assert recipe == {
        "patients": 3, "sequences": 1, "frames": 2, "size": 101, "wires": "mixed", "seed": 7, "test_patients": 1
    }  # fmt: skip
    truth = json.loads((made / "centrelines.json").read_text())["cases"]
    expected = {
        "p000_s00_f0001": (121.188, [(72.427, 75.737, 2.904), (64.766, 84.501, 2.677)]),
        "p001_s00_f0001": (121.693, [(40.832, 45.521, 2.489), (41.052, 62.436, 2.129)]),
        "p002_s00_f0001": (67.563, [(50.884, 39.527, 2.027), (68.749, 59.15, 2.437)]),
    }
    for case, (mean, wires) in expected.items():
        (path,) = made.glob(f"images*/{case}.png")
        assert read_frame(path).mean() == pytest.approx(mean, abs=0.05)
        found = [(*wire["tip"], wire["width_px"]) for wire in truth[case]["wires"]]
        np.testing.assert_allclose(found, wires, atol=0.02)


def test_what_is_left_out_is_what_is_drawn_by_default(plain: list[SimulatedFrame]) -> None:
    named = simulate(
        size=(128, 128), wires="mixed", bits=8, border="random", collimator="random", wire_width=(2.0, 3.0)
    )
    assert all((one.image == other.image).all() for one, other in zip(named, plain, strict=True))


# Size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 256), (200, 96)])
def test_frames_need_not_be_square(shape: tuple[int, int]) -> None:
    frames = simulate(size=shape)
    found = sum(len(frame.wires) for frame in frames)
    assert found >= len(frames)
    reached = np.max([wire.centreline.max(axis=0) for frame in frames for wire in frame.wires], axis=0)
    assert (reached > 0.7 * np.array(shape)).all()  # wires use both edges
    for frame in frames:
        assert frame.image.shape == frame.mask.shape == frame.exposed.shape == shape
        shadow, wire = frame.background - frame.noise_free, frame.mask == 1
        near = ndimage.binary_dilation(wire, iterations=4)
        assert shadow[wire].mean() > 20 * abs(shadow[~near]).mean()
        for each in frame.wires:
            rows, columns = np.rint(each.centreline).astype(int).T
            assert wire[rows, columns].all()


def test_a_circle_stays_a_circle_in_a_wide_frame() -> None:
    for frame in simulate(size=(96, 192), collimator="circular"):
        assert circle_misfit_px(frame.exposed) < 1
        assert frame.exposed.any(axis=0).sum() < 150  # it does not reach the sides


# Grey levels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [12, 16])
def test_more_bits_are_the_same_frame_more_finely(bits: int, plain: list[SimulatedFrame]) -> None:
    white = 2**bits - 1
    for coarse, fine in zip(plain, simulate(bits=bits), strict=True):
        assert fine.image.dtype == np.uint16
        assert white / 2 < fine.image.max() <= white
        assert np.unique(fine.image).size > 4 * np.unique(coarse.image).size
        rounding = 0.5 + 0.5 * 255 / white + 1e-3
        assert abs(fine.image * (255 / white) - coarse.image).max() <= rounding
        np.testing.assert_allclose(fine.noise_free, coarse.noise_free * (white / 255), rtol=1e-4)
        assert [wire.cnr for wire in fine.wires] == pytest.approx([wire.cnr for wire in coarse.wires], rel=0.02)


# Border ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "black"), [({}, 15), ({"bits": 16}, 15 * 257), ({"bits": 12}, 241)])
def test_a_border_of_15_is_exactly_that(options: dict[str, Any], black: int) -> None:
    for frame in simulate(border=15, **options):
        assert (frame.image[to_field(frame) > 3] == black).all()


def test_a_border_of_0_leaves_the_field_as_it_is(plain: list[SimulatedFrame]) -> None:
    for drawn, flat in zip(plain, simulate(border=0), strict=True):
        deep = ndimage.distance_transform_edt(drawn.exposed) > 3
        assert (flat.image[deep] == drawn.image[deep]).all()
        assert (flat.image[to_field(flat) > 3] == 0).all()


@pytest.mark.parametrize("option", [{"border": "none"}, {"collimator": "none"}])
def test_without_a_border_the_whole_frame_is_exposed(option: dict[str, Any]) -> None:
    assert all(frame.exposed.all() for frame in simulate(**option))


def test_jpeg_rings_beside_the_field_and_changes_little(plain: list[SimulatedFrame]) -> None:
    beside, difference = [], []
    for clean, rung in zip(plain, simulate(border="jpeg"), strict=True):
        assert (rung.mask == clean.mask).all()
        distance = to_field(clean)
        strip = (distance > 3) & (distance < 7)
        if strip.any():
            beside.append((clean.image[strip].std(), rung.image[strip].std()))
        difference.append(abs(rung.image.astype(float) - clean.image)[distance == 0].mean())
    before, after = np.transpose(beside)
    assert len(beside) >= 4
    assert np.median(after) > 1.5 * np.median(before)
    assert 0.5 < np.mean(difference) < 8


# Collimator -----------------------------------------------------------------------------------------------------


def circle_misfit_px(exposed: np.ndarray) -> float:
    """Largest distance of the field's outline, where the frame does not cut it, to the circle that fits it best."""
    outline = np.argwhere(exposed & ~ndimage.binary_erosion(exposed, np.ones((3, 3)), border_value=1)).astype(float)
    assert len(outline) > 10
    equations = np.column_stack([2 * outline, np.ones(len(outline))])
    (row, column, rest), *_ = np.linalg.lstsq(equations, (outline**2).sum(axis=1), rcond=None)
    radius = np.sqrt(rest + row**2 + column**2)
    return float(abs(np.linalg.norm(outline - [row, column], axis=1) - radius).max())


def test_circular_and_rectangular_collimators() -> None:
    for frame in simulate(collimator="circular"):
        corners = frame.exposed[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.sum() < 4
        assert circle_misfit_px(frame.exposed) < 1
    for frame in simulate(collimator="rectangular"):
        (box,) = ndimage.find_objects(frame.exposed.astype(int))
        assert frame.exposed[box].all()
        assert not frame.exposed.all()


def test_another_collimator_mostly_leaves_the_patient_as_it_is(plain: list[SimulatedFrame]) -> None:
    """Where both are exposed the anatomy is the same, but for sequences whose second wire finds no place to cross."""
    alike = []
    for one, other in zip(simulate(collimator="rectangular"), plain, strict=True):
        both = one.exposed & other.exposed
        alike.append(np.corrcoef(one.background[both], other.background[both])[0, 1])
    assert np.median(alike) > 0.95


# Wires ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width_px", [1.5, 4.0, 8.0])
def test_wires_are_as_wide_as_asked(width_px: float) -> None:
    """By area over length, on single wires."""
    for frame in simulate(wires=1, wire_width=(width_px, width_px), border="none", size=160):
        for wire in frame.wires:
            assert wire.width_px == width_px
            length = np.linalg.norm(np.diff(wire.centreline, axis=0), axis=1).sum()
            caps = np.pi * width_px**2 / 8 / length  # round at the tip
            assert frame.mask.sum() / length == pytest.approx(width_px + caps, rel=0.12)
            assert 1 <= wire.cnr <= 3


def test_another_width_leaves_paths_and_background_as_they_are(plain: list[SimulatedFrame]) -> None:
    for one, other in zip(plain, simulate(wire_width=(6.0, 8.0)), strict=True):
        assert len(one.wires) == len(other.wires)
        assert all((a.centreline == b.centreline).all() for a, b in zip(one.wires, other.wires, strict=True))
        np.testing.assert_array_equal(one.background, other.background)


def test_widths_are_drawn_from_the_range() -> None:
    widths = [wire.width_px for frame in simulate(wire_width=(3.0, 7.0), size=64) for wire in frame.wires]
    assert 3 <= min(widths) < max(widths) - 1 <= 6


# Recipe and refusals --------------------------------------------------------------------------------------------


def test_the_recipe_makes_the_same_files_again(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "patients": 2, "sequences": 1, "frames": 1, "size": (64, 96), "wires": 2, "bits": 12, "border": 15,
        "collimator": "circular", "wire_width": (3.0, 4.5), "seed": 5, "test_patients": 1,
    }  # fmt: skip
    synthesize_dataset(tmp_path / "first", **asked)
    recipe = json.loads((tmp_path / "first" / "dataset.json").read_text())["simulation"]
    assert recipe == {**asked, "size": [64, 96], "wire_width": [3.0, 4.5]}
    again = {name: tuple(value) if isinstance(value, list) else value for name, value in recipe.items()}
    synthesize_dataset(tmp_path / "second", **again)
    first, second = (sorted((tmp_path / name).rglob("*.png")) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert len(first) == 4
    assert read_frame(first[0]).dtype == np.uint16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (64, 63)}, "size: found 64x63, wanted at least 64"),
        ({"size": (64, 257)}, "size: found 64x257, wanted no edge over 4 times the other"),
        ({"bits": 10}, "bits: found 10, wanted 8, or 12 to 16"),
        ({"bits": 17}, "bits: found 17"),
        ({"border": 61}, "border: found 61, wanted 'random', 'none', 'jpeg' or a level from 0 to 60"),
        ({"border": -1}, "border: found -1"),
        ({"border": "black"}, "border: found 'black'"),
        ({"collimator": "round"}, "collimator: found 'round', wanted one of random, circular, rectangular, none"),
        ({"border": "none", "collimator": "circular"}, "border: found 'none' with collimator 'circular'"),
        ({"border": 15, "collimator": "none"}, "border: found 15 with collimator 'none'"),
        ({"border": "jpeg", "bits": 16}, "border: found 'jpeg' with 16 bits, wanted bits 8"),
        ({"wire_width": (1.4, 3.0)}, "wire_width: found 1.4 to 3 px, wanted a range that rises within 1.5 to 8 px"),
        ({"wire_width": (3.0, 2.0)}, "wire_width: found 3 to 2 px"),
        ({"wire_width": (3.0, 8.1)}, "wire_width: found 3 to 8.1 px"),
        ({"wire_width": (float("nan"), 3.0)}, "wire_width: found nan"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_done(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        simulate_sequence(seed=0, patient=0, sequence=0, **options)
    with pytest.raises(UsageError, match=message):
        synthesize_dataset(tmp_path / "d", **options)
    assert list(tmp_path.iterdir()) == []
