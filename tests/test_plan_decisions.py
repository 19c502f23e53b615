"""Simulated datasets that differ in one thing each: what is measured is the truth, and decisions follow their rules.

Expected values come from the simulated frames' own truth and from the rules worked out by hand, never from the
planners' code.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import gwunet.synthetic.dataset
from gwunet.dataset import Dataset
from gwunet.fingerprint import Fingerprint
from gwunet.planners import FGANetBSCPlanner, FGANetPlanner, LinkNetPlanner, Planner
from gwunet.planners.memory import GIB, StepMemory
from gwunet.plans import Configuration, Target
from gwunet.preparation import extract_fingerprint
from gwunet.splits import Splits, make_splits
from gwunet.synthetic import SimulatedFrame, synthesize_dataset

BASE: dict[str, Any] = {
    "patients": 1, "sequences": 1, "frames": 1, "test_patients": 0, "size": 256, "wires": 1, "bits": 8, "border": 15,
    "collimator": "rectangular", "wire_width": (2.5, 2.5), "seed": 65,
}  # fmt: skip
SMALL: dict[str, Any] = {"size": 64, "frames": 2, "border": "none", "collimator": "none"}
"""Quick to make, for what follows from numbers of frames and patients."""
KINDS: dict[str, dict[str, Any]] = {
    "base": {},
    "wide": {"size": (256, 416)},
    "large": {"size": (1024, 960)},
    "16 bits": {"bits": 16},
    "12 bits": {"bits": 12},
    "border 0": {"border": 0},
    "border jpeg": {"border": "jpeg"},
    "no border": {"border": "none", "collimator": "random"},
    "circular": {"collimator": "circular"},
    "thin wire": {"wire_width": (1.5, 1.5)},
    "thick wire": {"wire_width": (8.0, 8.0)},
    "two wires": {"wires": 2},
    "small": SMALL,
    "small, 100 frames": {**SMALL, "frames": 100},
    "small, twenty patients": {**SMALL, "patients": 20},
}
GPU = Target(device="cuda", memory_gb=80.0)
SMALL_GPU = Target(device="cuda", memory_gb=4.0)
CPU = Target(device="cpu", memory_gb=8.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A dataset as it was simulated and as it was read."""

    frames: list[SimulatedFrame]
    dataset: Dataset
    fingerprint: Fingerprint
    recorded: list[dict[str, Any]]
    """Of each case, its wires in ``centrelines.json``."""

    @property
    def splits(self) -> Splits:
        return make_splits(self.dataset.training, self.fingerprint.wire_pixels)

    @property
    def true_field(self) -> tuple[float, float]:
        """Median height and width of the exposed field."""
        extents = [[np.ptp(at) + 1 for at in np.nonzero(frame.exposed)] for frame in self.frames]
        height, width = np.median(extents, axis=0)
        return float(height), float(width)

    @property
    def true_ratio(self) -> float:
        """Exposed pixels without wire for each wire pixel."""
        wire = sum(int(frame.mask.sum()) for frame in self.frames)
        return (sum(int(frame.exposed.sum()) for frame in self.frames) - wire) / wire


@pytest.fixture(scope="module")
def kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Kind]:
    """A kind by its name, made once."""
    return functools.cache(lambda name: _make(tmp_path_factory.mktemp("raw") / "Dataset900_Kind", KINDS[name]))


def _make(folder: Path, changed: dict[str, Any]) -> Kind:
    frames: list[SimulatedFrame] = []
    simulate = gwunet.synthetic.dataset.frames_of

    def record(*arguments: Any, **named: Any) -> Iterator[SimulatedFrame]:
        for frame in simulate(*arguments, **named):
            frames.append(frame)
            yield frame

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gwunet.synthetic.dataset, "frames_of", record)
        synthesize_dataset(folder, **{**BASE, **changed})
    dataset = Dataset.open(folder)
    truth = json.loads((folder / "centrelines.json").read_text())["cases"]
    return Kind(
        frames=frames,
        dataset=dataset,
        fingerprint=extract_fingerprint(dataset),
        recorded=[wire for case in truth.values() for wire in case["wires"]],
    )


@pytest.fixture
def _ample_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting a step takes a second, and most rules do not depend on it."""
    monkeypatch.setattr(Planner, "_step_memory", lambda *_: StepMemory(fixed=0.0, per_patch=1e-3 * GIB))


ample_memory = pytest.mark.usefixtures("_ample_memory")
every_kind = pytest.mark.parametrize("name", KINDS)
Make = Callable[[str], Kind]


# What is measured -----------------------------------------------------------------------------------------------


@every_kind
def test_size_field_and_grey_levels_are_measured(name: str, kind: Make) -> None:
    made, asked = kind(name), {**BASE, **KINDS[name]}
    found, size = made.fingerprint, asked["size"]
    rows, columns = (size, size) if isinstance(size, int) else size
    assert (found.height.minimum, found.height.maximum) == (rows, rows)
    assert (found.width.minimum, found.width.maximum) == (columns, columns)
    assert found.dtypes == {"uint8" if asked["bits"] == 8 else "uint16": len(made.frames)}
    share = np.median([frame.exposed.mean() for frame in made.frames])
    assert found.field_share.median == pytest.approx(share, abs=0.015)
    assert (found.field_height.median, found.field_width.median) == pytest.approx(made.true_field, abs=2)
    grey = np.median([np.median(frame.image[frame.exposed]) for frame in made.frames])
    assert found.intensity[2] == pytest.approx(grey, rel=0.02)


@pytest.mark.parametrize(
    ("name", "dtype", "level", "tolerance"),
    [
        ("base", "uint8", 15, 0),
        ("16 bits", "uint16", 15 * 257, 0),
        ("12 bits", "uint16", 241, 0),
        ("border 0", "uint8", 0, 0),
        ("border jpeg", "uint8", None, 1.5),
        ("circular", "uint8", 15, 0),
    ],
)
def test_the_borders_level_is_measured(
    name: str, dtype: str, level: float | None, tolerance: float, kind: Make
) -> None:
    made = kind(name)
    if level is None:  # it was drawn; the corner of the noise-free frame has it
        level = float(made.frames[0].noise_free[0, 0])
    border = made.fingerprint.borders[dtype]
    assert border.level == pytest.approx(level, abs=tolerance)
    assert made.fingerprint.frames_with_border == len(made.frames)
    beyond_penumbra = ~ndimage.binary_dilation(made.frames[0].exposed, iterations=2)
    assert (made.frames[0].image[beyond_penumbra] <= border.threshold).mean() > 0.99


def test_a_missing_border_is_not_made_up(kind: Make) -> None:
    found = kind("no border").fingerprint
    assert found.frames_with_border == 0
    assert found.field_share.minimum == 1
    assert found.borders["uint8"].threshold == -1


def test_12_and_16_bits_in_one_dataset_are_measured_as_each_by_itself(tmp_path: Path, kind: Make) -> None:
    """Both are kept in 16 bit."""
    parts = {depth: kind(f"{depth} bits") for depth in ("12", "16")}
    for depth, part in parts.items():
        for folder in ("imagesTr", "labelsTr"):
            (tmp_path / "Dataset901_Mixed" / folder).mkdir(parents=True, exist_ok=True)
            for path in (part.dataset.folder / folder).iterdir():
                copy = tmp_path / "Dataset901_Mixed" / folder / f"depth{depth}{path.name}"
                copy.write_bytes(path.read_bytes())
    found = extract_fingerprint(Dataset.open(tmp_path / "Dataset901_Mixed"))
    assert found.n_frames == 2
    assert found.wire_outside_px == {}
    alone = {f"depth{depth}": part.fingerprint for depth, part in parts.items()}
    for case, wire_pixels in found.wire_pixels.items():
        assert wire_pixels == next(iter(alone[case[:7]].wire_pixels.values()))
    for depth, part in parts.items():
        assert found.borders["uint16"].depths[depth] == part.fingerprint.borders["uint16"].depths[depth]
    shares = [part.fingerprint.field_share.median for part in parts.values()]
    assert (found.field_share.minimum, found.field_share.maximum) == (min(shares), max(shares))


@every_kind
def test_wires_are_measured(name: str, kind: Make) -> None:
    made, wires = kind(name), {**BASE, **KINDS[name]}["wires"]
    found = made.fingerprint
    width_px = {**BASE, **KINDS[name]}["wire_width"][0]
    assert {wire["width_px"] for wire in made.recorded} == {width_px}
    assert found.wire_width_px[0] == pytest.approx(width_px, abs=0.8)
    assert width_px - 0.5 <= found.wire_width_px[1] <= width_px + (1.5 if wires == 1 else 4)  # wider where they cross
    assert found.background_to_wire == pytest.approx(made.true_ratio, rel=0.03)
    assert found.frames_without_wire == sum(not frame.wires for frame in made.frames)
    if "small" not in name:  # where wires may touch themselves
        assert found.components.median == 1
        assert found.endpoints.median == 2 * wires


@pytest.mark.parametrize(
    ("name", "patients", "frames"), [("small", 1, 2), ("small, 100 frames", 1, 100), ("small, twenty patients", 20, 2)]
)
def test_patients_and_frames_are_counted(name: str, patients: int, frames: int, kind: Make) -> None:
    found = kind(name).fingerprint
    assert (found.n_patients, found.n_sequences, found.n_frames) == (patients, patients, patients * frames)
    assert found.frames_per_sequence.minimum == found.frames_per_sequence.maximum == frames


# What is decided ------------------------------------------------------------------------------------------------


@ample_memory
@every_kind
def test_patch_stages_and_tile_follow_from_the_field(name: str, kind: Make) -> None:
    made = kind(name)
    patch = tuple(32 * math.ceil(edge / 32) for edge in made.true_field)
    patch = (max(patch[0], 64), max(patch[1], 64))
    plan = FGANetPlanner().plan(made.fingerprint, GPU)
    assert plan.patch_size == patch
    stages = 5 if min(patch) < 128 else 6  # 64 halved four times is 4, 128 five times
    assert plan.network.arguments["features"] == [32, 64, 128, 256, 512, 1024][:stages]
    assert len(plan.deep_supervision_weights) == stages
    assert plan.foreground_oversampling == 0.33
    assert not any("shrunk" in decision.reason for decision in plan.decisions)
    assert plan.inference.tile_size == patch  # fields are alike in these datasets, so the largest is no larger
    on_cpu = FGANetPlanner().plan(made.fingerprint, CPU)
    assert on_cpu.patch_size == tuple(min(128, 16 * math.ceil(edge / 16)) for edge in made.true_field)
    assert on_cpu.foreground_oversampling == (0.33 if "small" in name else 0.67)


def test_a_patch_shrinks_to_the_memory(kind: Make) -> None:
    """By what a training step really counts."""
    made = kind("large")
    plan = FGANetPlanner().plan(made.fingerprint, SMALL_GPU)
    roomy = tuple(32 * math.ceil(edge / 32) for edge in made.true_field)
    assert all(edge % 32 == 0 and edge <= most for edge, most in zip(plan.patch_size, roomy, strict=True))
    assert any("shrunk" in decision.reason for decision in plan.decisions)
    assert math.prod(plan.patch_size) < 0.9 * math.prod(made.true_field)
    assert plan.foreground_oversampling == 0.67
    assert plan.batch_size == 2
    assert 0.75 * 4 < _gib_of_step(plan) <= 4  # not shrunk by more than a cut or two too many
    tile = plan.inference.tile_size  # the whole field is too large for a pass
    assert math.prod(plan.patch_size) < math.prod(tile) < math.prod(made.true_field)


def _gib_of_step(plan: Configuration) -> float:
    """What the plan says that a step takes."""
    (reason,) = (decision.reason for decision in plan.decisions if decision.what == "batch size")
    return float(reason.split("takes ")[1].split(" GiB")[0])


@ample_memory
@pytest.mark.parametrize(("name", "width"), [("thin wire", 1.5), ("base", 2.5), ("thick wire", 8.0)])
def test_skeleton_iterations_follow_from_the_widest_wire(name: str, width: float, kind: Make) -> None:
    """Half the width, rounded up, plus one; the width is measured in masks of whole pixels."""
    fingerprint = kind(name).fingerprint
    measured = fingerprint.wire_width_px[1]
    assert measured == pytest.approx(width, abs=0.75)
    plan = FGANetBSCPlanner().plan(fingerprint, GPU)
    assert plan.loss.name == "HybridLoss"
    assert 0 <= plan.loss.arguments["skeleton_iterations"] - 1 - measured / 2 < 1


@ample_memory
@every_kind
def test_alpha_is_a_tenth_of_the_true_ratio(name: str, kind: Make) -> None:
    made = kind(name)
    plan = LinkNetPlanner().plan(made.fingerprint, GPU)
    assert plan.loss.name == "ModifiedFocalLoss"
    assert plan.loss.arguments["alpha"] == pytest.approx(made.true_ratio / 10, rel=0.03, abs=0.06)
    assert plan.loss.arguments["gamma"] == 2.5


@ample_memory
@pytest.mark.parametrize("name", ["16 bits", "12 bits", "border 0", "border jpeg"])
def test_grey_levels_decide_nothing_else(name: str, kind: Make) -> None:
    """The same wires in the same field: the same plan, but for a border that JPEG moves by some pixels."""
    assert all(
        (one.mask == other.mask).all() for one, other in zip(kind(name).frames, kind("base").frames, strict=True)
    )
    for planner in (FGANetPlanner(), FGANetBSCPlanner(), LinkNetPlanner()):
        plain, other = (planner.plan(kind(each).fingerprint, GPU) for each in ("base", name))
        assert _decided(other, but=("loss",)) == _decided(plain, but=("loss",))
        for argument, value in plain.loss.arguments.items():
            assert other.loss.arguments[argument] == pytest.approx(value, rel=0.01)


@ample_memory
@pytest.mark.parametrize("name", ["thin wire", "thick wire", "two wires"])
def test_wires_decide_the_loss_alone(name: str, kind: Make) -> None:
    for planner in (FGANetBSCPlanner(), LinkNetPlanner()):
        plain, other = (planner.plan(kind(each).fingerprint, GPU) for each in ("base", name))
        assert _decided(other, but=("loss",)) == _decided(plain, but=("loss",))
        assert other.loss.name == plain.loss.name
    assert other.loss.arguments["alpha"] != plain.loss.arguments["alpha"]


@ample_memory
def test_more_frames_and_patients_decide_no_patch_and_no_network(kind: Make) -> None:
    """Their fields may differ by some pixels, their patches not."""
    plans = [FGANetPlanner().plan(kind(name).fingerprint, GPU) for name in KINDS if name.startswith("small")]
    assert len({plan.patch_size for plan in plans}) == len({str(plan.network) for plan in plans}) == 1
    assert len({plan.batch_size for plan in plans}) == len({plan.duration for plan in plans}) == 1


def _decided(plan: Configuration, but: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a plan without those named and without the reasons, which name what was measured."""
    names = {field.name for field in dataclasses.fields(plan)} - {*but, "decisions"}
    return {name: getattr(plan, name) for name in names}


# Folds ----------------------------------------------------------------------------------------------------------


def test_twenty_patients_make_five_folds_of_four(kind: Make) -> None:
    splits = kind("small, twenty patients").splits
    assert splits.grouping == "patient"
    assert splits.warnings == ()
    patients = [{name[:4] for name in fold.val} for fold in splits.folds]
    assert [len(fold) for fold in patients] == [4] * 5
    assert len(set.union(*patients)) == 20
    assert all(not {name[:4] for name in fold.train} & {name[:4] for name in fold.val} for fold in splits.folds)


@pytest.mark.parametrize(("name", "folds", "frames"), [("small", 2, 1), ("small, 100 frames", 5, 20)])
def test_one_sequence_is_divided_into_blocks_of_frames(name: str, folds: int, frames: int, kind: Make) -> None:
    splits = kind(name).splits
    assert splits.grouping == "frame blocks"
    assert "a single sequence" in splits.warnings[0]
    numbers = [sorted(int(case[-4:]) for case in fold.val) for fold in splits.folds]
    assert numbers == [list(range(first * frames, (first + 1) * frames)) for first in range(folds)]
