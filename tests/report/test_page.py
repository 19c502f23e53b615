"""The report as a file, and as a browser shows it."""

import datetime
import itertools
import json
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gwunet.dataset import Dataset
from gwunet.errors import NotPreparedError
from gwunet.evaluation import evaluate_folder
from gwunet.io.frames import write_mask
from gwunet.jsonio import write_json
from gwunet.report import write_report
from gwunet.report.findings import findings_of
from gwunet.report.material import gather
from gwunet.report.page import render
from gwunet.validation import MadeBy, masks_digest
from gwunet.workspace import Workspace

HOSTILE = '"><img src=x onerror=window.pwned=1>'
NAME = "Dataset001_Made"


def mask_of(row: int) -> np.ndarray:
    mask = np.zeros((96, 128), np.uint8)
    mask[row : row + 3, 10:118] = 1
    return mask


def test_a_planned_dataset_has_a_report(planned: Workspace, tmp_path: Path) -> None:
    page = write_report(1, workspace=planned).read_text()
    assert "patch size" in page
    assert "the &lt;b&gt;field&lt;/b&gt; is small" in page
    assert page.count("data:image/jpeg;base64,") == 6  # frames with their annotation
    assert "Nothing is trained yet" in page
    assert "No fold is validated yet" in page
    assert str(tmp_path) not in page


def test_an_unplanned_dataset_has_none(planned: Workspace) -> None:
    (planned.preprocessed / NAME / "plans.json").unlink()
    with pytest.raises(NotPreparedError, match="gw_plan_and_preprocess -d Dataset001_Made"):
        write_report(1, workspace=planned)


def test_a_configuration_that_is_not_trained_is_named(validated: Workspace) -> None:
    with pytest.raises(NotPreparedError, match="found no trained linknet; wanted some of fganet"):
        write_report(1, workspace=validated, configurations=["linknet"])


def test_nothing_in_the_page_leads_out_of_it(validated: Workspace) -> None:
    page = write_report(1, workspace=validated).read_text()
    assert re.findall(r"https?:|@import|url\(", page) == []
    assert re.findall(r'(?:src|href)="(?!data:image/|#)', page) == []
    assert "default-src &#x27;none&#x27;" in page
    assert HOSTILE not in page


def test_what_is_damaged_is_said_and_the_rest_is_shown(validated: Workspace) -> None:
    base = validated.results / NAME / "fganet__FGANetTrainer"
    (base / "fold_0" / "log.jsonl").write_text('{"epoch": ')
    (base / "fold_1" / "validation" / "summary.json").write_text("[]")
    (base / "fold_0" / "validation" / "case02.png").write_bytes(b"no picture")
    page = write_report(1, workspace=validated).read_text()
    assert "fold_0/log.jsonl: no curves, since the file is damaged" in page
    assert "not validated yet: fold 1" in page
    assert "case02: no picture" in page
    assert "data:image/png" in page  # the other frames'
    assert str(validated.raw.parent) not in page


def test_a_report_without_the_raw_dataset(validated: Workspace) -> None:
    shutil.rmtree(validated.raw)
    page = write_report(1, workspace=validated).read_text()
    assert "no pictures and no contrast of wires" in page
    assert str(validated.raw) not in page
    assert "mean Dice 0.833 on 12 frames" in page


def test_speed_and_scores_of_predictions_are_shown(validated: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    model = {"dataset": "One", "sha256": {"0": 64 * "a"}}
    run = {"n_frames": 7, "ms_per_frame": 31.25, "runtime": "<torch>", "model": model}
    (folder / "run.json").write_text(json.dumps(run))
    base = validated.results / NAME / "fganet__FGANetTrainer"
    shutil.copy(base / "fold_0" / "validation" / "summary.json", folder)
    page = write_report(1, workspace=validated, predictions={folder: None}).read_text()
    assert ">31.2<" in page
    assert "&lt;torch&gt;" in page
    assert "Scores of masks: 6 frames" in page
    assert ">dataset One, sha256 fold 0 aaaaaaaaaaaa<" in page


def test_scores_of_masks_that_were_replaced_are_stale(validated: Workspace, tmp_path: Path) -> None:
    folder, reference = tmp_path / "masks", tmp_path / "reference"
    for place in (folder, reference):
        write_mask(place / "a.png", np.eye(40, dtype=np.uint8))
    run = {"gwunet": "1", "model": {"dataset": "One"}, "n_frames": 1, "n_finished_before": 0, "seconds": 2.0}
    (folder / "run.json").write_text(json.dumps(run))
    evaluate_folder(reference, folder, folder / "summary.json")

    def page(**changes: object) -> str:
        (folder / "run.json").write_text(json.dumps({**run, **changes}))
        return write_report(1, workspace=validated, predictions={folder: None}).read_text()

    assert "Scores of masks: 1 frames" in page(seconds=0.5, n_frames=0, n_finished_before=1)  # --continue made none
    for changes in ({"model": {"dataset": "Two"}}, {"n_frames": 2}, {"options": {"threshold": 0.3}}):
        assert "stale scores: summary.json is of masks that were there before" in page(**changes)
        assert "Scores of masks" not in page(**changes)


def test_cross_validation_of_other_predictions_is_not_passed_off_as_these(validated: Workspace) -> None:
    base = validated.results / NAME / "fganet__FGANetTrainer"
    summary = {"n_frames": 12, "per_frame_mean": {"dice": 10 / 12, "recall": 0.9}}
    found = {"as_planned": summary, "postprocessed": {"per_frame_mean": {"dice": 0.851}}, "shipped": {"gap_px": 8}}
    (base / "cross_validation.json").write_text(json.dumps(found))
    page = write_report(1, workspace=validated).read_text()
    assert ">0.851<" in page
    assert "<dt>gap px</dt><dd>8</dd>" in page
    assert "cross_validation.json is not of" not in page
    found["as_planned"]["per_frame_mean"]["dice"] = 0.7
    (base / "cross_validation.json").write_text(json.dumps(found))
    assert "cross_validation.json is not of what the folds hold now" in write_report(1, workspace=validated).read_text()


def validate(workspace: Workspace, fold: int) -> str:
    """As gw_train does; gives what the weights are called."""
    raw = Dataset.open(workspace.raw / NAME)
    folder = workspace.results / NAME / "fganet__FGANetTrainer" / f"fold_{fold}" / "validation"
    cases = [row["case"] for row in json.loads((folder / "summary.json").read_text())["frames"]]
    digest = f"weights of fold {fold}"
    made_by = MadeBy(schema_version=1, checkpoint_sha256=digest, masks_sha256=masks_digest(raw, cases))
    write_json(folder / "made_by.json", made_by)
    return digest


def draw_anew(workspace: Workspace, case: str) -> None:
    write_mask(workspace.raw / NAME / "labelsTr" / f"{case}.png", mask_of(60))


def test_what_was_judged_by_other_weights_or_masks_is_out_of_date(validated: Workspace) -> None:
    """By digests: figures may agree by chance, and another Dice does not mean that they are old."""
    results = validated.results / NAME
    digests = {f"fganet__FGANetTrainer/fold_{fold}": validate(validated, fold) for fold in (0, 1)}
    raw = Dataset.open(validated.raw / NAME)
    masks = masks_digest(raw, [case.name for case in raw.training])
    summary = {"n_frames": 99, "per_frame_mean": {"dice": 0.1}}
    found = {"folds": [0, 1], "as_planned": summary, "checkpoints": digests, "masks_sha256": masks}
    files = (results / "fganet__FGANetTrainer" / "cross_validation.json", results / "best_configuration.json")

    def notes(**changes: Any) -> list[str]:
        for path in files:
            path.write_text(json.dumps(found | {"recommended": "fganet__FGANetTrainer"} | changes))
        page = write_report(1, workspace=validated).read_text()
        return re.findall(r"(?:This comparison|cross_validation.json) is ([^<]*)", page)

    assert notes() == []
    again = "Run gw_find_best_configuration again."
    other = digests | {"fganet__FGANetTrainer/fold_1": "of another seed"}
    assert (
        notes(checkpoints=other) == [f"out of date: other weights since in fganet__FGANetTrainer/fold_1. {again}"] * 2
    )
    assert notes(folds=[0]) == [f"out of date: other masks or folds since. {again}"] * 2
    draw_anew(validated, "case02")
    assert notes() == [f"out of date: other masks or folds since. {again}"] * 2
    masks = masks_digest(raw, [case.name for case in raw.training])  # as gw_find_best_configuration makes it again
    assert notes(masks_sha256=masks) == []


def test_masks_that_were_corrected_are_told_of(validated: Workspace) -> None:
    validate(validated, 0)
    assert "masks have changed" not in write_report(1, workspace=validated).read_text()
    draw_anew(validated, "case02")
    page = write_report(1, workspace=validated).read_text()
    assert page.count("masks have changed since its frames were scored") == 1
    assert "fold_0: masks have" in page
    assert "run gw_train Dataset001_Made 0 -c fganet -tr FGANetTrainer --val" in page
    validate(validated, 0)
    path = validated.results / NAME / "fganet__FGANetTrainer" / "fold_0" / "validation" / "summary.json"
    summary = json.loads(path.read_text())
    summary["frames"][1]["dice"] = None  # left out wholly by its reference
    path.write_text(json.dumps(summary))
    page = write_report(1, workspace=validated).read_text()
    assert "masks have changed" not in page
    assert "validated on other frames" not in page


def test_frames_of_earlier_folds_are_left_out(validated: Workspace) -> None:
    path = validated.preprocessed / NAME / "splits.json"
    splits = json.loads(path.read_text())
    first, second = splits["folds"]
    moved = first["val"].pop()
    second["val"].append(moved)
    path.write_text(json.dumps(splits))
    page = write_report(1, workspace=validated).read_text()
    assert "fold_0: validated on other frames than are the fold&#x27;s today (1 left out here, 0 without a" in page
    assert "fold_1: validated on other frames than are the fold&#x27;s today (0 left out here, 1 without a" in page
    (model,) = gather(validated, NAME).models
    assert len(model.rows) == 11
    assert moved not in {row["case"] for row in model.rows}
    path.write_text(json.dumps([first]))  # nnU-Net's form, and one fold alone
    (model,) = gather(validated, NAME).models
    assert {row["fold"] for row in model.rows} == {"0"}


def test_of_what_cannot_be_read_only_names_are_said(
    validated: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (validated.preprocessed / NAME / "splits.json").write_text('"no folds"')
    elsewhere = tmp_path / "home" / "somebody" / "masks"
    elsewhere.mkdir(parents=True)
    (elsewhere / "run.json").write_text("{")
    (elsewhere / "summary.json").write_text("{")
    read_text = Path.read_text

    def refused(path: Path, *arguments: Any, **options: Any) -> str:
        if path.name == "log.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refused)
    page = read_text(write_report(1, workspace=validated, predictions={elsewhere: None}))
    assert "masks/run.json: not valid JSON" in page
    assert "summary.json: not valid JSON" in page
    assert "fold_0/log.jsonl: no curves, since the file cannot be read (Permission denied)" in page
    assert "somebody" not in page


def test_of_a_thousand_frames_few_have_pictures(validated: Workspace) -> None:
    material = gather(validated, NAME)
    (model,) = material.models
    rows = tuple({**row, "patient": f"p{number}"} for number in range(84) for row in model.folds[0].rows[1:3])
    many = gather_with(material, model, rows)
    page = render(many, findings_of(many), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    assert page.count("data:image/") == 6 + 16 + 4 * 12  # of the dataset, of patients, and layers of frames
    assert len(re.findall(r'scope="row">p[0-9]+<', page)) == 84


def gather_with(material: Any, model: Any, rows: tuple[Any, ...]) -> Any:
    from dataclasses import replace

    fold = replace(model.folds[0], rows=rows)
    return replace(material, models=(replace(model, folds=(fold,)),))


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium with its console."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def test_in_a_browser(validated: Workspace, browser: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One start of the browser for everything that only a browser can tell."""
    from selenium.webdriver.common.keys import Keys

    path = write_report(1, workspace=validated)
    browser.get("file://" + urllib.parse.quote(str(path)))
    ask: Callable[..., Any] = browser.execute_script
    assert browser.get_log("browser") == []
    assert ask("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    assert ask("return typeof window.pwned") == "undefined"
    assert ask("return document.querySelector('h1').textContent") == NAME

    # Tables, pictures, curves.
    assert ask("return [...document.images].filter(i => !(i.complete && i.naturalWidth)).length") == 0
    assert ask("return [...document.images].filter(i => !i.alt).length") == 0
    worst, next_one = ask(
        "return [...document.querySelectorAll('#results .stacked tbody tr')].slice(0, 2).map(r => r.innerText)"
    )
    assert worst.startswith("p0")
    assert f"{HOSTILE} (0.00)" in worst
    assert next_one.startswith("p5")
    assert "false alarm in 1 of 1 frame without wire" in next_one
    assert ask("return document.querySelectorAll('#training polyline').length") == 6
    levels = ask("return [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))

    # The slider, by keyboard and by its buttons.
    slider = browser.find_element("css selector", ".viewer input")
    opacity = "return [...arguments[0].closest('.viewer').querySelectorAll('.layer')].map(l => Number(l.style.opacity))"
    assert ask(opacity, slider) == [0, 0, 1]
    read_out = (
        "return [...arguments[0].closest('.viewer').querySelectorAll('.layer')]"
        ".map(l => getComputedStyle(l).visibility == 'visible')"
    )
    assert ask(read_out, slider) == [False, False, True]
    slider.send_keys(Keys.ARROW_LEFT * 2)
    assert ask(opacity, slider) == [0, 0.5, 0.5]
    assert ask(read_out, slider) == [False, True, True]
    slider.send_keys(Keys.HOME)
    assert ask(opacity, slider) == [0, 0, 0]
    assert slider.get_attribute("aria-valuetext") == "frame"
    ask("arguments[0].closest('.viewer').querySelector('button[value=\"1\"]').click()", slider)
    assert ask(opacity, slider) == [1, 0, 0]
    assert slider.get_attribute("aria-valuetext") == "prediction"
    ask("arguments[0].focus()", slider)
    slider.send_keys(Keys.TAB)
    assert ask("return getComputedStyle(document.activeElement).outlineStyle") == "solid"

    # A phone: nothing is wider than the screen but tables that scroll.
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert ask("return document.documentElement.scrollWidth") == 390
    assert browser.get_log("browser") == []
