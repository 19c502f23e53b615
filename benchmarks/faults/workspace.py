"""A finished workspace, in copies of which commands are killed."""

import functools
import json
import shutil
from pathlib import Path

from faults.jobs import DATASET, EVALUATED, PREDICT, PREPARED, QUICK, W
from faults.running import run_here


def make_workspace(root: Path, *, folds: int = 4) -> None:
    """A finished workspace: dataset, plan of a very small network, folds, predictions, evaluation, exported models.

    Args:
        root: the workspace to make; predictions ``A`` and ``B``, ``model.zip`` and so on lie in it as well.
        folds: how many are trained; with four, which are all, a best configuration is chosen too.
    """
    run_all = functools.partial(run_here, root)
    run_all(
        "gw_synthesize",
        DATASET,
        "--patients",
        "5",
        "--test_patients",
        "1",
        "--sequences",
        "1",
        "--frames",
        "2",
        "--size",
        "64",
        *W,
    )
    run_all("gw_plan_and_preprocess", "-d", "901", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W)
    make_smaller(root / PREPARED / "plans.json")
    run_all("gw_train", "901", *map(str, range(folds)), *QUICK, *W)
    if folds == 4:
        run_all("gw_find_best_configuration", "901", "-np", "1", "--device", "cpu", *W)
    for name in ("A", "B"):
        run_all("gw_predict", *PREDICT, "-o", f"{{}}/{name}")
    run_all("gw_evaluate", *EVALUATED)
    run_all("gw_export", "901", "-o", "{}/model.zip", "--format", "zip", *W)
    shutil.copy(root / "model.zip", root / "given.zip")


def make_all(root: Path) -> None:
    """A finished workspace with what all jobs need."""
    make_workspace(root)
    write_dicom(root / "hospital")
    (root / "grouping.key").write_bytes(bytes(range(32)))
    (root / "grouping.key").chmod(0o600)
    run_here(root, "gw_export", "901", "-o", "{}/model.onnx", *W)


def make_smaller(plans: Path) -> None:
    """Edit a plan as a person may: a network that trains in a moment."""
    content = json.loads(plans.read_text())
    planned = content["configurations"]["fganet"]
    planned["network"]["arguments"] |= {"features": [2, 2, 4], "decoder_features": [2, 2]}
    planned |= {"deep_supervision_weights": [0.5, 0.3, 0.2], "patch_size": [32, 32], "batch_size": 2}
    planned["duration"] |= {"epochs": 2, "iterations_per_epoch": 2, "minutes": None}
    planned["inference"] |= {"tile_size": [64, 64], "mirror": False}
    plans.write_text(json.dumps(content))


def write_dicom(folder: Path, frames: int = 6) -> None:
    """Runs of XA, written by SimpleITK."""
    import numpy as np
    import SimpleITK

    folder.mkdir()
    for number in range(frames):
        pixels = np.random.default_rng(number).integers(0, 256, (2, 64, 64), dtype=np.uint16)
        image = SimpleITK.GetImageFromArray(pixels)
        for tag, value in {"0008|0060": "XA", "0010|0020": f"P{number}", "0028|0301": "NO"}.items():
            image.SetMetaData(tag, value)  # type: ignore[no-untyped-call]
        SimpleITK.WriteImage(image, str(folder / f"{number}.dcm"))
