"""Size of the report of five folds, time to write it, and time until a browser has opened it.

    python benchmarks/report.py [--frames 1000] [--size 512] [--repeats 5] [--keep FOLDER]

Frames are simulated ones and shifted copies of them; predictions are their references with stretches missing and false
pieces added. A frame's scores are computed once and stand for its shifted copies. Opening is from the navigation to the
end of the load event, in headless Chromium, each time in a new tab; without Chromium only the rest is measured.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import Dataset
from gwunet.evaluation import score_frame, summarise, write_summary
from gwunet.io.frames import read_frame, read_mask, write_frame, write_mask
from gwunet.jsonio import to_json, write_json
from gwunet.planning import plan_dataset
from gwunet.plans import Target
from gwunet.prepared import SPLITS
from gwunet.report import write_report
from gwunet.splits import Fold, Splits
from gwunet.synthetic import synthesize_dataset
from gwunet.workspace import Workspace

NAME = "Dataset902_Report"
PATIENTS, FOLDS, EPOCHS = 20, 5, 1000
BASE_FRAMES = 40


def make_workspace(root: Path, n_frames: int, size: int) -> Workspace:
    """A planned dataset with five validated folds of as many frames together."""
    base, raw = root / "base", root / "raw" / NAME
    frames_each = max(1, min(BASE_FRAMES, n_frames) // PATIENTS)
    synthesize_dataset(base, patients=PATIENTS, test_patients=0, sequences=1, frames=frames_each, size=size, seed=1)
    names = sorted(path.name for path in (base / "imagesTr").iterdir())
    cases, rows = {}, {}
    rng = np.random.default_rng(0)
    predictions = {}
    for number in range(n_frames):
        source, shift = names[number % len(names)], 11 * (number // len(names))
        case = f"{Path(source).stem}_{number:04d}"
        frame, mask = read_frame(base / "imagesTr" / source), read_mask(base / "labelsTr" / source)
        if source not in predictions:
            predictions[source] = damaged(mask, rng)
            rows[source] = score_frame(source, mask, predictions[source])
        write_frame(raw / "imagesTr" / f"{case}.png", np.roll(frame, shift, axis=1))
        write_mask(raw / "labelsTr" / f"{case}.png", np.roll(mask, shift, axis=1))
        cases[case] = {"patient": source[:4], "sequence": Path(source).stem[:8], "frame": number}
        fold = int(source[1:4]) % FOLDS
        validation = root / "results" / NAME / "fganet__FGANetTrainer" / f"fold_{fold}" / "validation"
        write_mask(validation / f"{case}.png", np.roll(predictions[source], shift, axis=1))
    write_json(raw / "dataset.json", {"cases": cases})
    workspace = Workspace.find(root)
    target = Target(device="cpu", memory_gb=4.0)
    plan_dataset(NAME, workspace=workspace, configurations=["fganet"], target=target, preprocess=False)
    sources = {
        f"{Path(names[number % len(names)]).stem}_{number:04d}": names[number % len(names)]
        for number in range(n_frames)
    }
    folds = [[case for case, source in sources.items() if int(source[1:4]) % FOLDS == fold] for fold in range(FOLDS)]
    halves = [Fold(train=tuple(sorted(sources.keys() - set(own))), val=tuple(own)) for own in folds]
    write_json(workspace.preprocessed_dataset(NAME) / SPLITS, Splits(grouping="patient", folds=tuple(halves)))
    for fold, own in enumerate(folds):
        write_fold(Dataset.open(raw), workspace, fold, {case: sources[case] for case in own}, rows)
    return workspace


def damaged(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """With a stretch of the wire missing and a false one elsewhere."""
    predicted = mask.copy()
    row, column, false = rng.integers(0, mask.shape[0] - 60, 3)
    predicted[row : row + 60] = 0
    predicted[false : false + 3, column : column + 60] = 1
    return predicted


def write_fold(raw: Dataset, workspace: Workspace, fold: int, sources: dict[str, str], scores: dict[str, Any]) -> None:
    """Its summary, and curves of ``EPOCHS`` epochs; ``sources`` are those of its frames."""
    folder = workspace.results / NAME / "fganet__FGANetTrainer" / f"fold_{fold}"
    by_source = {row["case"]: row for row in to_json(summarise(list(scores.values())).frames)}
    frames = [
        {
            **by_source[sources[case]],
            "case": case,
            "patient": raw.case(case).patient,
            "sequence": raw.case(case).sequence,
        }
        for case in sources
    ]
    write_summary(
        folder / "validation" / "summary.json", summarise([scores[source] for source in set(sources.values())])
    )
    content = json.loads((folder / "validation" / "summary.json").read_text()) | {"frames": frames}
    write_json(folder / "validation" / "summary.json", content)
    epochs = [
        {
            "epoch": n,
            "train_loss": 1 / n,
            "val_loss": 1.1 / n,
            "val_dice": 1 - 0.6 / n,
            "val_dice_ema": 1 - 0.7 / n,
            "seconds": 9.5,
        }
        for n in range(1, EPOCHS + 1)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ({"device": "cpu"}, *epochs)))
    (folder / "checkpoint_final.pt").touch()


def seconds_to_open(path: Path, repeats: int) -> list[float] | None:
    """In headless Chromium; None without it."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        seconds = []
        for _ in range(repeats):
            browser.switch_to.new_window("tab")
            browser.get("file://" + urllib.parse.quote(str(path)))
            timing = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd / 1000"
            seconds.append(float(browser.execute_script(timing)))
        return seconds
    finally:
        browser.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder to leave the workspace and the report in")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        root = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workspace = make_workspace(root, options.frames, options.size)
        began = time.perf_counter()
        path = write_report(NAME, root / "report.html", workspace=workspace).resolve()
        print(f"{options.frames} frames, {FOLDS} folds: written in {time.perf_counter() - began:.1f} s")
        print(f"size {path.stat().st_size / 1e6:.2f} MB")
        opened = seconds_to_open(path, options.repeats)
        if opened:
            print(f"opened in {statistics.median(opened):.2f} s (median of {len(opened)}, most {max(opened):.2f} s)")


if __name__ == "__main__":
    main()
