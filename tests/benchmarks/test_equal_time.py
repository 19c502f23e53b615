"""The comparison in equal time: nnU-Net's smaller plan, its folds and frames, what is refused, and the table."""

import dataclasses
import json
import re
import statistics
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwunet.dataset import Dataset
from gwunet.errors import UsageError
from gwunet.evaluation.folder import evaluate_folder
from gwunet.io.frames import write_mask
from gwunet.jsonio import write_json
from gwunet.splits import Fold, Splits, load_splits


def nnunet_plans(patch: tuple[int, int], batch: int, strides: list[list[int]]) -> dict[str, Any]:
    """The parts of nnU-Net's plans that matter here, in its layout."""
    stages = len(strides)
    network = {
        "n_stages": stages,
        "features_per_stage": [min(512, 32 * 2**stage) for stage in range(stages)],
        "kernel_sizes": [[3, 3]] * stages,
        "strides": strides,
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
    }
    planned = {
        "data_identifier": "nnUNetPlans_2d",
        "batch_size": batch,
        "patch_size": list(patch),
        "architecture": {"network_class_name": "PlainConvUNet", "arch_kwargs": network},
    }
    return {"plans_name": "nnUNetPlans", "configurations": {"2d": planned}}


def halvings(times: int) -> list[list[int]]:
    return [[1, 1], *([[2, 2]] * times)]


# Plans --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edge", "stages", "bottleneck"), [(512, 8, 4), (384, 7, 6), (320, 7, 5), (256, 7, 4), (192, 6, 6), (128, 6, 4)]
)
def test_a_cut_plan_has_the_stages_that_its_patch_can_be_halved_for(
    script: ModuleType, edge: int, stages: int, bottleneck: int
) -> None:
    plans = nnunet_plans((512, 512), 5, halvings(7))
    cut = script.cut_plan(plans, edge, 2)
    planned = cut["configurations"]["2d"]
    network = planned["architecture"]["arch_kwargs"]
    assert planned["patch_size"] == [edge, edge]
    assert planned["batch_size"] == 2
    assert network["n_stages"] == stages
    assert edge / 2 ** (stages - 1) == bottleneck  # whole, so that the decoder's sizes meet the encoder's
    lengths = [len(network[name]) for name in ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage")]
    assert lengths == [stages] * 4
    assert len(network["n_conv_per_stage_decoder"]) == stages - 1


def test_a_cut_plan_leaves_the_rest_and_the_original_alone(script: ModuleType) -> None:
    plans = nnunet_plans((256, 512), 1, [[1, 1], *([[2, 2]] * 6), [1, 2]])
    before = json.dumps(plans)
    cut = script.cut_plan(plans, 384, 2)
    assert json.dumps(plans) == before
    planned = cut["configurations"]["2d"]
    assert planned["patch_size"] == [256, 384]
    assert planned["batch_size"] == 1  # never more than planned
    assert planned["architecture"]["arch_kwargs"]["n_stages"] == 7  # 384 / 128 = 3 is too small a bottleneck
    assert planned["data_identifier"] == "nnUNetPlans_2d"  # the frames preprocessed for the whole plan
    assert cut["plans_name"] != plans["plans_name"]  # results folders of their own


def test_patches_that_cannot_come_near_are_not_measured(script: ModuleType) -> None:
    planned = nnunet_plans((512, 512), 4, halvings(7))["configurations"]["2d"]
    # 20 s a step of 4 frames: 10 s at batch 2. In 600 s, 200 steps may take 3 s; what needs over 6 s is left out.
    assert script.candidates(planned, 20.0, 600.0) == [384, 320, 256, 192, 160, 128]
    assert script.candidates(planned, 1.0, 600.0)[0] == 512
    assert script.candidates(planned, 1000.0, 6.0) == [128]
    planned["patch_size"] = [320, 288]
    assert script.candidates(planned, 1.0, 600.0) == [320, 256, 192, 160, 128]
    planned["batch_size"] = 2  # 320 would be the plan itself
    assert script.candidates(planned, 1.0, 600.0) == [256, 192, 160, 128]
    planned["patch_size"] = [96, 96]
    assert script.candidates(planned, 1.0, 600.0) == [96]


def test_an_epoch_ends_often_enough(script: ModuleType) -> None:
    plan = script.PeerPlan(says="", step_s=30.0, fits=20)
    assert plan.steps_of_epoch(600.0) == 7
    assert plan.steps_of_epoch(20.0) == 1
    assert dataclasses.replace(plan, step_s=1.0).steps_of_epoch(600.0) == 25


# Folds and frames -------------------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path: Path) -> Dataset:
    """Four training frames with masks of 0 and 255, each of another patient."""
    folder = tmp_path / "raw" / "Dataset921_Small"
    generator = np.random.default_rng(0)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case in "abcd":
        Image.fromarray(generator.integers(0, 255, (40, 48), dtype=np.uint8)).save(folder / "imagesTr" / f"{case}.png")
        mask = np.zeros((40, 48), dtype=np.uint8)
        mask[10:13, 5:40] = 1
        write_mask(folder / "labelsTr" / f"{case}.png", mask)
    cases = {case: {"patient": f"patient {case}", "sequence": f"sequence {case}"} for case in "abcd"}
    description = {"channel_names": {"0": "X"}, "labels": {"background": 0, "wire": 1}, "file_ending": ".png"}
    write_json(folder / "dataset.json", {**description, "cases": cases})
    return Dataset.open(folder)


def test_nnunet_gets_the_same_folds_and_frames(script: ModuleType, raw: Dataset, tmp_path: Path) -> None:
    folds = (Fold(train=("b", "c", "d"), val=("a",)), Fold(train=("a",), val=("b", "c", "d")))
    given = script.nnunet_splits(Splits(grouping="patient", folds=folds))
    assert given == [{"train": ["b", "c", "d"], "val": ["a"]}, {"train": ["a"], "val": ["b", "c", "d"]}]
    write_json(tmp_path / "splits_final.json", given)
    assert load_splits(tmp_path / "splits_final.json", raw.training).folds == folds

    script.copy_for_nnunet(raw, tmp_path / "nnunet")
    script.copy_validation(raw, folds[1], tmp_path / "validation")
    for case in raw.training:
        with Image.open(tmp_path / "nnunet" / "imagesTr" / f"{case.name}_0000.png") as frame:
            np.testing.assert_array_equal(np.asarray(frame), raw.read_frame(case))
        with Image.open(tmp_path / "nnunet" / "labelsTr" / f"{case.name}.png") as mask:
            assert set(np.unique(np.asarray(mask))) == {0, 1}
    assert json.loads((tmp_path / "nnunet" / "dataset.json").read_text())["numTraining"] == 4
    names = {program: sorted(path.name for path in (tmp_path / "validation" / program).iterdir())
             for program in ("gwunet", "nnunet")}  # fmt: skip
    assert names["gwunet"] == ["b.png", "c.png", "d.png"]
    assert names["nnunet"] == ["b_0000.png", "c_0000.png", "d_0000.png"]


def test_only_the_whole_validation_half_is_scored(
    script: ModuleType, raw: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(command: list[str], log: Path) -> float:
        reference, prediction, output = (Path(command[command.index(flag) + 1]) for flag in ("-r", "-p", "-o"))
        evaluate_folder(reference, prediction, output, allow_missing="--allow_missing" in command)
        return 0.0

    monkeypatch.setattr(script, "run_logged", evaluate)
    fold = Fold(train=("c", "d"), val=("a", "b"))
    masks = tmp_path / "masks"
    masks.mkdir()
    whole = raw.read_mask(raw.training[0])
    half = whole.copy()
    half[:, :22] = 0  # of the wire's 35 columns, 18 stay
    Image.fromarray(whole).save(masks / "a.png")
    with pytest.raises(UsageError, match=r"1 frames scored, wanted the 2 .* in one alone: b:"):
        script.score(raw.folder / "labelsTr", tmp_path, fold)
    Image.fromarray(half).save(masks / "b.png")
    scores = script.score(raw.folder / "labelsTr", tmp_path, fold)
    assert scores["dice"] == pytest.approx(2 * (35 + 18) / (35 + 35 + 35 + 18))
    assert scores["unit"] == "patient"
    assert [(frame.case, frame.group) for frame in scores["frames"]] == [("a", "patient a"), ("b", "patient b")]
    assert [frame.dice for frame in scores["frames"]] == pytest.approx([1.0, 36 / 53])
    assert scores["cldice"] < scores["frames"][0].cldice == 1.0


def test_the_trainers_last_line_is_read(script: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("Epoch 3\n2026-01-01 10:00:00.1: TIMED steps=24 seconds=601.5\nTraining done.\n")
    assert script.read_timed(log) == (24, 601.5)
    log.write_text("Epoch 3\n")
    with pytest.raises(UsageError, match="TIMED steps=N"):
        script.read_timed(log)


def test_another_installed_trainer_of_that_name_is_refused(script: ModuleType, tmp_path: Path) -> None:
    venv, trainer = tmp_path / "venv", tmp_path / "Timed.py"
    peer = script.Peer(venv=venv, trainer=trainer, folder=tmp_path / "nnunet")
    trainer.write_text("class Timed: ...\n")
    with pytest.raises(UsageError, match="nnUNetv2_train: no such file"):
        peer.check()
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "nnUNetv2_train").touch()
    peer.check()
    assert (peer.trainers / "Timed.py").read_text() == trainer.read_text()
    installed = venv / "lib" / "python3.11" / "site-packages" / "nnunetv2" / "training" / "nnUNetTrainer" / "Timed.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("class Timed: older = True\n")
    with pytest.raises(UsageError, match="differs and would be run"):
        peer.check()


# Rows and table -----------------------------------------------------------------------------------------------------


def row(script: ModuleType, program: str, seed: int, dices: list[float], groups: str) -> Any:
    frames = tuple(
        script.Frame(case=f"frame {number}", group=group, dice=dice, cldice=dice / 2)
        for number, (dice, group) in enumerate(zip(dices, groups, strict=True))
    )
    dice = statistics.fmean(dices)
    scores = {"dice": dice, "cldice": dice / 2, "unit": "sequence", "frames": frames}
    times = {
        "minutes": 10.0,
        "nnunet_mirroring": False,
        "iterations": 200,
        "training_s": 600.0,
        "command_s": 640.0,
        "predict_s": 9.0,
    }
    return script.Row(dataset="real", program=program, seed=seed, plan=f"plan of {program}", **times, **scores)


def test_the_table_has_rows_means_and_paired_differences(script: ModuleType) -> None:
    groups = "abcdefgh"
    base = np.linspace(0.5, 0.7, 8)
    rows = [
        row(script, "nnunet", 0, list(base), groups),
        row(script, "gwunet", 1, list(base + 0.2), groups),
        row(script, "gwunet", 0, list(base + 0.1), groups),
        row(script, "nnunet", 1, list(base), groups),
        row(script, "nnunet_small", 0, list(base + 0.3), groups),
    ]
    table = script.make_table(rows, ["a note", ""])
    lines = table.splitlines()
    assert "## real: 8 validation frames of 8 sequences" in lines
    assert "| gwunet | 0 | 200 | 3 | 600 | 640 | 9 | 0.700 | 0.350 |" in lines
    assert "| **gwunet** | mean of 2 | | | | | | 0.750 | 0.375 |" in lines
    assert "| **nnunet** | mean of 2 | | | | | | 0.600 | 0.300 |" in lines
    assert "- nnunet_small: plan of nnunet_small" in lines
    # Every frame differs by the same, so every resample does.
    assert "| gwunet - nnunet | 0, 1 | +0.150 (+0.150 to +0.150) | +0.075 (+0.075 to +0.075) |" in lines
    # Only seed 0 is in both.
    assert any(line.startswith("| gwunet - nnunet_small | 0 | -0.200 (-0.200 to -0.200)") for line in lines)
    order = [line for line in lines if re.match(r"\| gwunet \|", line)]
    assert [line.split("|")[2].strip() for line in order] == ["0", "1"]
    assert "## simulated" not in table


def test_frames_of_a_group_are_drawn_together_and_few_groups_give_no_interval(script: ModuleType) -> None:
    values = [[0.0] * 4, [1.0] * 4, [0.0] * 4, [1.0] * 4, [0.0] * 4, [1.0] * 4]
    lower, upper = script.interval_of_mean(values)
    # Binomial(6, 1/2) / 6: one of six has 9 % in its lower end and none of six 1.6 %, so the limits are 1/6 or 0, 5/6
    # or 1; 24 frames drawn singly would give 0.3 to 0.7.
    assert lower <= 1 / 6 + 1e-9
    assert upper >= 5 / 6 - 1e-9
    assert script.interval_of_mean(values[:5]) is None
    few = "aabbcc"
    rows = [row(script, "gwunet", 0, [0.5] * 6, few), row(script, "nnunet", 0, [0.25] * 6, few)]
    assert "+0.250 (no interval below six groups)" in script.make_table(rows, [])


def test_rows_of_different_frames_are_not_paired(script: ModuleType) -> None:
    ours, theirs = row(script, "gwunet", 0, [0.5, 0.6], "ab"), row(script, "nnunet", 0, [0.5], "a")
    with pytest.raises(UsageError, match="different validation frames"):
        script.differences("dice", [ours], [theirs])


def test_a_row_done_is_not_done_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def do_row(dataset: str, program: str, seed: int, *_: object) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(f"{program} {seed}")
        return row(script, program, seed, [0.5, 0.6], "ab")

    monkeypatch.setattr(script, "do_row", do_row)
    monkeypatch.setattr(script, "make_dataset", lambda *_: None)
    monkeypatch.setattr(script, "prepare", lambda *_: None)
    monkeypatch.setattr(script.Peer, "check", lambda _: None)
    monkeypatch.setattr(script, "describe", lambda *given: [given[-1], ""])
    output = tmp_path / "out"
    flags = ["-o", str(output), "--nnunet", "/venv", "--nnunet_trainer", "/Timed.py", "--datasets", "real"]
    flags += ["--rows", "gwunet", "nnunet", "--seeds", "0", "1"]
    with pytest.raises(KeyboardInterrupt):
        script.main(flags)
    assert done == ["gwunet 0", "nnunet 0", "gwunet 1"]  # programs in turn within a seed
    table = (output / "equal_time.md").read_text()
    assert "-o OUT --nnunet VENV --nnunet_trainer FILE" in table
    assert str(tmp_path) not in table
    del done[:]
    script.main(flags)
    assert done == ["nnunet 1"]
    assert len(list((output / "rows").iterdir())) == 4
    assert "| **nnunet** | mean of 2 |" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"found a row of 10 minutes, nnU-Net without .* wanted 5 minutes"):
        script.main([*flags, "--minutes", "5"])
    with pytest.raises(SystemExit, match="wanted 10 minutes, nnU-Net with mirroring"):
        script.main([*flags, "--nnunet_mirroring"])


def test_real_frames_want_their_folders(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wanted --images and --masks"):
        script.make_dataset("real", tmp_path, None, None)
