"""Nothing is done again that is up to date; everything is that is not."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwunet import planning
from gwunet.errors import DatasetError
from gwunet.planning import plan_dataset, preprocess_dataset
from gwunet.plans import Configuration, Target
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

        def plan(self, fingerprint: Any, target: Target) -> Configuration:
            del fingerprint, target
            return make_configuration()

    monkeypatch.setattr(planning, "planners_for", lambda *_: [Planner()])

    def run(clean: bool = False, preprocess: bool = True) -> list[str]:
        done, workspace = Done(), Workspace.find(folder)
        target = Target(device="cpu", memory_gb=2.0)
        plan_dataset(1, workspace=workspace, target=target, clean=clean, preprocess=preprocess, progress=done.progress)
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


def test_a_killed_command_measures_all_and_preprocesses_only_what_is_missing(
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
        assert prepare() == ["verify", "fingerprint"]
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
