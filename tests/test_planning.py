"""Nothing is done again that is up to date; everything is that is not."""

import contextlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from gwunet import planning, preparation
from gwunet.errors import DatasetError, OutputError, SchemaError, SplitError, UsageError
from gwunet.planning import plan_dataset, preprocess_dataset
from gwunet.plans import Configuration, Target
from gwunet.prepared import read_plans
from gwunet.workspace import Workspace

NAME = "Dataset001_Made"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with a raw dataset of six frames; the fifth mask is empty, which is warned of."""
    raw = tmp_path / "raw" / NAME
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    for index in range(6):
        mask = np.zeros((48, 48), np.uint8)
        mask[10 + index, 5:40] = 255 * (index != 4)
        Image.fromarray(rng.integers(80, 200, (48, 48), np.uint8)).save(raw / "imagesTr" / f"p{index}_f0.png")
        Image.fromarray(mask).save(raw / "labelsTr" / f"p{index}_f0.png")
    return tmp_path


class Done:
    """Which steps were really done, by their progress bars."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def progress(self, items: Any, total: int, label: str) -> Any:
        del total
        self.steps.append(label)
        return items


@pytest.fixture
def prepare(
    folder: Path, make_configuration: Callable[..., Configuration], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Plans and preprocesses with a planner that decides at once; gives the steps that were really done."""

    class Planner:
        configuration_name = "fganet"
        by_default = True
        keeps_rate = False

        def plan(self, fingerprint: Any, target: Target) -> Configuration:
            del fingerprint, target
            return make_configuration()

    monkeypatch.setattr(planning, "planners_for", lambda *_: [Planner()])

    def run(
        clean: bool = False, preprocess: bool = True, split_by: Literal["patient", "site"] = "patient"
    ) -> list[str]:
        done = Done()
        plan_dataset(
            1,
            workspace=Workspace.find(folder),
            target=Target(device="cpu", memory_gb=2.0),
            clean=clean,
            preprocess=preprocess,
            split_by=split_by,
            progress=done.progress,
        )
        return done.steps

    return run


EVERYTHING = ["verify", "prepare"]


def test_both_ways_to_preprocess_give_the_same_files(folder: Path, prepare: Callable[..., list[str]]) -> None:
    assert prepare() == EVERYTHING
    prepared = folder / "preprocessed" / NAME
    together = {path.name: path.read_bytes() for path in prepared.iterdir()}
    assert {"frames.bin", "labels.bin", "locations.bin", "store.json"} <= set(together)
    assert prepare(clean=True, preprocess=False) == ["verify", "fingerprint"]
    assert not (prepared / "store.json").exists()
    assert prepare(preprocess=True) == ["preprocess"]
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == together


def test_a_killed_command_goes_on_to_the_same_files(
    folder: Path, prepare: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    prepare()
    prepared = folder / "preprocessed" / NAME
    whole = {path.name: path.read_bytes() for path in prepared.iterdir()}

    class Killed(BaseException):
        """Nothing in the library handles it."""

    def progress(items: Any, total: int, label: str) -> Any:
        for index, item in enumerate(items):
            if label == "prepare" and index == 4:
                raise Killed
            yield item

    target = Target(device="cpu", memory_gb=2.0)
    with pytest.raises(Killed):
        plan_dataset(1, workspace=folder, target=target, clean=True, preprocess=True, progress=progress)
    assert not (prepared / "store.json").exists()
    with caplog.at_level(logging.INFO):
        prepare()
    assert "going on after 4 of 6 frames" in caplog.text
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == whole


def test_a_second_run_does_nothing_again_and_says_so(
    folder: Path, prepare: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    assert prepare() == EVERYTHING
    prepared = folder / "preprocessed" / NAME
    before = {path.name: path.read_bytes() for path in prepared.iterdir()}
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert prepare() == []
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == before
    for name in ("up to date and kept; nothing is verified or measured again", "frames are up to date"):
        assert name in caplog.text
    assert "p4_f0.png: found no wire pixels" in caplog.text  # warnings are repeated without reading the frames
    assert prepare(clean=True) == EVERYTHING


def test_a_changed_frame_is_verified_measured_and_preprocessed(folder: Path, prepare: Callable[..., list[str]]) -> None:
    prepare()
    frame = np.random.default_rng(1).integers(80, 200, (48, 48), np.uint8)
    Image.fromarray(frame).save(folder / "raw" / NAME / "imagesTr" / "p2_f0.png")
    assert prepare() == EVERYTHING
    assert prepare() == []


def test_a_new_test_frame_is_verified_and_nothing_else(folder: Path, prepare: Callable[..., list[str]]) -> None:
    prepare()
    raw = folder / "raw" / NAME
    (raw / "imagesTs").mkdir()
    Image.fromarray(np.eye(48, dtype=np.uint8)).save(raw / "imagesTs" / "t0.png")
    assert prepare() == ["verify"]


def test_a_fingerprint_that_is_gone_damaged_or_of_before_is_measured_again(
    folder: Path, prepare: Callable[..., list[str]]
) -> None:
    prepare()
    path = folder / "preprocessed" / NAME / "fingerprint.json"
    whole = json.loads(path.read_text())
    for content in ("{", json.dumps({key: whole[key] for key in whole if key != "source"})):
        path.write_text(content)
        assert prepare() == ["fingerprint"]  # the borders are in integrity.json
    path.unlink()
    assert prepare() == ["fingerprint"]
    (path.parent / "integrity.json").unlink()
    path.unlink()
    assert prepare() == ["verify", "fingerprint"]
    assert json.loads(path.read_text()) == whole


def test_another_border_in_the_plan_is_preprocessed_again(folder: Path, prepare: Callable[..., list[str]]) -> None:
    prepare()
    path = folder / "preprocessed" / NAME / "plans.json"
    plans = json.loads(path.read_text())
    plans["preprocessing"]["borders"]["uint8"]["threshold"] = 90.0
    path.write_text(json.dumps(plans))
    done = Done()
    preprocess_dataset(1, workspace=folder, progress=done.progress)
    assert done.steps == ["preprocess"]


def test_errors_stop_after_all_warnings_and_a_sound_report_of_before_hides_none(
    folder: Path, prepare: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    prepare()
    caplog.clear()
    (folder / "raw" / NAME / "labelsTr" / "p2_f0.png").unlink()
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"p2_f0\.png: found no mask"):
            prepare()
    assert "p4_f0.png: found no wire pixels" in caplog.text


def test_after_a_kill_or_an_error_only_what_is_missing_is_read(
    folder: Path, prepare: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first pass nor the measurements of frames that were prepared are done again."""
    prepare()
    prepared = folder / "preprocessed" / NAME
    whole = {path.name: path.read_bytes() for path in prepared.iterdir()}
    read: list[str] = []
    original = preparation.measure_frame
    room = [4]

    def measure(case: str, *arguments: Any) -> Any:
        if len(read) == room[0]:
            raise DatasetError("a worker process died")
        read.append(case)
        return original(case, *arguments)

    monkeypatch.setattr(preparation, "measure_frame", measure)
    with pytest.raises(DatasetError, match="a worker process died"):
        prepare(clean=True)
    read.clear()
    room[0] = 100
    assert prepare() == ["prepare"]
    assert read == ["p4_f0", "p5_f0"]
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == whole


def between_the_passes(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Once."""
    inspect = planning.inspect_dataset

    def inspect_and_change(*arguments: Any) -> Any:
        report = inspect(*arguments)
        change()
        monkeypatch.setattr(planning, "inspect_dataset", inspect)
        return report

    monkeypatch.setattr(planning, "inspect_dataset", inspect_and_change)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((48, 48), np.uint8, "found files that changed while they were read"),
        ((50, 48), np.uint8, r"p0_f0\.png: found 48x48 px; wanted the 50x48 px"),
        ((48, 48), np.uint16, r"p0_f0\.png: found uint16 pixels; wanted uint8, as when it was verified"),
    ],
)
def test_a_frame_that_changes_while_it_is_read_is_said_and_nothing_of_it_stays(
    folder: Path,
    prepare: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, int],
    dtype: type,
    message: str,
) -> None:
    path = folder / "raw" / NAME / "imagesTr" / "p0_f0.png"
    before = path.read_bytes()

    def change() -> None:
        Image.fromarray(np.random.default_rng(7).integers(80, 200, shape).astype(dtype)).save(path)

    between_the_passes(monkeypatch, change)
    with pytest.raises(DatasetError, match=message):
        prepare()
    assert not (folder / "preprocessed" / NAME / "fingerprint.json").exists()
    assert not (folder / "preprocessed" / NAME / "store.json").exists()
    path.write_bytes(before)
    assert prepare() == EVERYTHING


def test_a_second_command_touches_nothing_while_the_first_is_at_work(folder: Path, prepare: Callable[..., Any]) -> None:
    seen: list[str] = []

    def progress(items: Any, total: int, label: str) -> Any:
        for item in items:
            with pytest.raises(OutputError, match="found another command preparing it"):
                plan_dataset(1, workspace=folder, clean=True, preprocess=True)
            with pytest.raises(OutputError, match="found another command preparing it"):
                preprocess_dataset(1, workspace=folder, clean=True)
            seen.append(label)
            yield item

    prepare()  # so that there are plans, which preprocess_dataset wants
    target = Target(device="cpu", memory_gb=2.0)
    image = folder / "raw" / NAME / "imagesTr" / "p0_f0.png"
    image.touch()
    plan_dataset(1, workspace=folder, target=target, preprocess=True, progress=progress)
    assert set(seen) == {"verify", "prepare"}
    assert prepare() == []


def test_configurations_planned_for_other_frames_are_not_kept(
    folder: Path,
    make_configuration: Callable[..., Configuration],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Planner:
        by_default = True
        keeps_rate = False

        def __init__(self, name: str) -> None:
            self.configuration_name = name

        def plan(self, fingerprint: Any, target: Target) -> Configuration:
            del fingerprint, target
            return make_configuration(name=self.configuration_name)

    monkeypatch.setattr(planning, "planners_for", lambda names, *_: [Planner(name) for name in names])
    target = Target(device="cpu", memory_gb=2.0)

    def plan(name: str) -> set[str]:
        return set(plan_dataset(1, workspace=folder, target=target, configurations=[name]).configurations)

    assert plan("fganet") == {"fganet"}
    assert plan("linknet") == {"fganet", "linknet"}
    frame = np.random.default_rng(5).integers(80, 200, (48, 48), np.uint8)  # without a border as the one before
    Image.fromarray(frame).save(folder / "raw" / NAME / "imagesTr" / "p1_f0.png")
    assert plan("fganet") == {"fganet"}
    assert "linknet: planned for other frames or masks" in caplog.text


@pytest.mark.parametrize("name", ["plans.json", "splits.json"])
def test_folds_and_plans_that_cannot_be_used_are_found_before_frames_are_read(
    folder: Path, prepare: Callable[..., list[str]], name: str
) -> None:
    prepare()
    (folder / "raw" / NAME / "imagesTr" / "p0_f0.png").touch()
    (folder / "preprocessed" / NAME / name).write_text("{")

    def progress(*_: Any) -> Any:
        raise AssertionError("frames are read")

    with pytest.raises(SchemaError, match=name):
        plan_dataset(1, workspace=folder, target=Target(device="cpu", memory_gb=2.0), progress=progress)
    assert prepare(clean=True) == EVERYTHING


def test_folds_by_site_are_made_and_kept_and_never_replace_others(
    folder: Path, prepare: Callable[..., list[str]]
) -> None:
    splits = folder / "preprocessed" / NAME / "splits.json"
    with pytest.raises(SplitError, match="without a site"):
        prepare(split_by="site")
    cases = {f"p{index}_f0": {"patient": f"p{index}", "site": "ab"[index % 2]} for index in range(6)}
    (folder / "raw" / NAME / "dataset.json").write_text(json.dumps({"cases": cases}))
    prepare(split_by="site")
    made = splits.read_text()
    assert [fold["val"] for fold in json.loads(made)["folds"]] == [
        ["p0_f0", "p2_f0", "p4_f0"],
        ["p1_f0", "p3_f0", "p5_f0"],
    ]
    prepare()
    assert splits.read_text() == made
    prepare(clean=True)
    assert json.loads(splits.read_text())["grouping"] == "patient"
    with pytest.raises(SplitError, match="found folds by patient; wanted folds by site: --clean"):
        prepare(split_by="site")


def test_clean_leaves_what_it_cannot_replace(
    folder: Path, prepare: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    prepared = folder / "preprocessed" / NAME
    splits = prepared / "splits.json"
    folds = json.loads(splits.read_text())
    folds["folds"].reverse()  # as imported ones are others than would be made
    splits.write_text(json.dumps(folds))
    before = {path.name: path.read_bytes() for path in prepared.iterdir()}
    with pytest.raises(SplitError, match="without a site"):
        prepare(clean=True, split_by="site")
    frame = folder / "raw" / NAME / "imagesTr" / "p0_f0.png"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:100])
    with pytest.raises(DatasetError, match="1 error"):
        prepare(clean=True)
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == before
    frame.write_bytes(whole)

    def fails(*_: Any) -> None:
        raise UsageError("the memory holds nothing")

    with monkeypatch.context() as patch:
        patch.setattr(planning, "_decide", fails)
        with pytest.raises(UsageError, match="holds nothing"):
            prepare(clean=True)
    for name in ("splits.json", "plans.json"):
        assert (prepared / name).read_bytes() == before[name]
    (prepared / "plans.json").write_text("{")  # is not read either
    assert prepare(clean=True) == EVERYTHING
    assert json.loads(splits.read_text())["folds"] == folds["folds"][::-1]


def test_what_was_verified_by_other_rules_is_verified_again(
    folder: Path, prepare: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    monkeypatch.setattr(planning, "CHECKING", planning.CHECKING + 1)
    assert prepare() == ["verify"]
    assert prepare() == []


def test_damaged_plans_say_what_to_do(folder: Path, prepare: Callable[..., list[str]]) -> None:
    prepare()
    (folder / "preprocessed" / NAME / "plans.json").write_text("{")
    with pytest.raises(SchemaError, match=r"plans\.json: not valid JSON .*remove the file and run gw_plan_and_pre"):
        read_plans(Workspace.find(folder), NAME)


def test_another_process_decides_the_same(folder: Path) -> None:
    target = Target(device="cpu", memory_gb=4.0)
    alone = plan_dataset(1, workspace=folder, planner="LinkNetPlanner", target=target)
    assert plan_dataset(1, workspace=folder, planner="LinkNetPlanner", target=target, processes=2) == alone


def test_what_cannot_be_sent_to_another_process_is_decided_here(folder: Path) -> None:
    def small() -> Target:
        return Target(device="cpu", memory_gb=0.02)

    with pytest.raises(UsageError, match=r"0\.02 GiB do not hold a training step"):
        plan_dataset(1, workspace=folder, planner="LinkNetPlanner", target=small, processes=2)


def test_a_process_that_dies_does_not_hinder_a_plan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        def submit(self, *_: Any) -> Any:
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool("gone"))
            return future

    monkeypatch.setattr(planning, "another_process", lambda: contextlib.nullcontext(Dead()))
    target = Target(device="cpu", memory_gb=4.0)
    plans = plan_dataset(1, workspace=folder, planner="LinkNetPlanner", target=target, processes=2)
    assert set(plans.configurations) == {"linknet"}
