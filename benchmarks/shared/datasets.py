"""Raw datasets that scripts make of frames they are given."""

import shutil
from pathlib import Path
from typing import Any

from gwunet.io.frames import list_frames
from gwunet.jsonio import write_json


def description(frames: int = 0) -> dict[str, Any]:
    """dataset.json of grey frames with one kind of wire; with ``frames`` what nnU-Net wants to know as well."""
    labels = {"channel_names": {"0": "X-ray"}, "labels": {"background": 0, "wire": 1}, "file_ending": ".png"}
    return {**labels, "numTraining": frames} if frames else labels


def copy_pairs(images: Path, masks: Path, folder: Path) -> None:
    """A raw dataset to train on of two folders of pictures with equal names, in place of what is at ``folder``."""
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    for source, name in ((images, "imagesTr"), (masks, "labelsTr")):
        (partial / name).mkdir(parents=True)
        for path in list_frames(source):
            shutil.copy(path, partial / name)
    write_json(partial / "dataset.json", description())
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
