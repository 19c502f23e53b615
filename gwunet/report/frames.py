"""Frames of the page that can be looked at: the frame, what was predicted, what is right, and what was wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import Dataset
from gwunet.errors import GwunetError
from gwunet.exposed_field import Frame
from gwunet.io.frames import read_mask
from gwunet.report.failures import faults_of
from gwunet.report.markup import Markup, element
from gwunet.report.material import Model
from gwunet.report.parts import picture
from gwunet.report.pictures import layers_of, thumbnail
from gwunet.trained import validation_folder

Row = Mapping[str, Any]
Read = tuple[Frame, NDArray[np.uint8], NDArray[np.uint8]]
"""Frame, prediction and reference."""

STOPS = ("frame", "prediction", "reference", "errors")
"""Of the slider, from left to right."""
BEST, MEDIAN, WORST = 3, 3, 6
"""So many frames of each kind are shown."""


def examples(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The worst, median and best frames by Dice, no frame twice; of few frames as many as there are."""
    ordered = sorted(rows, key=lambda row: (row["dice"], row["case"]))
    worst, rest = ordered[:WORST], ordered[WORST:]
    best, rest = rest[-BEST:][::-1], rest[:-BEST]
    middle = max(0, (len(rest) - MEDIAN) // 2)
    return {"worst": worst, "median": rest[middle : middle + MEDIAN], "best": best}


def viewer(raw: Dataset, model: Model, row: Row) -> Markup:
    """A frame with a slider through its layers; a sentence where its files are gone or damaged."""
    name = row["case"]
    try:
        layers = layers_of(*_read(raw, model, row))
    except GwunetError as problem:
        return _no_picture(name, problem)
    told = _told(row)
    size = {"width": layers.width, "height": layers.height}
    masks = {"prediction": layers.prediction, "reference": layers.reference, "errors": layers.errors}
    drawn = [
        element("img", src=layers.frame, alt=f"frame {name}, cropped to its wires", **size),
        *(
            element(
                "img", src=uri, alt=f"{kind} of {name}", class_=f"layer {kind}", data_stop=STOPS.index(kind), **size
            )
            for kind, uri in masks.items()
        ),
    ]
    last = len(STOPS) - 1
    slider = element(
        "input",
        type="range",
        min=0,
        max=last,
        step=0.25,
        value=last,
        aria_label=f"{name}: frame, prediction, reference or errors",
        aria_valuetext=STOPS[last],
    )
    stops = [element("button", kind, type="button", value=number) for number, kind in enumerate(STOPS)]
    return element(
        "figure",
        element("div", *drawn, class_="layers"),
        slider,
        element("div", *stops, class_="stops"),
        element("figcaption", element("b", name), told),
        class_="viewer",
    )


def small_picture(raw: Dataset | None, model: Model, row: Row) -> Markup | None:
    """A frame's errors at the size of a stamp."""
    if raw is None:
        return None
    try:
        shown = thumbnail(*_read(raw, model, row))
    except GwunetError as problem:
        return _no_picture(row["case"], problem)
    return picture(shown, f"{row['case']}: found pixels green, false ones orange, missed ones blue")


def _read(raw: Dataset, model: Model, row: Row) -> Read:
    case = raw.case(row["case"])  # a name that the dataset has, and so no path
    fold = next(fold for fold in model.folds if fold.name == row["fold"])
    frame, reference = raw.read_pair(case)
    prediction = read_mask(validation_folder(fold.folder) / f"{case.name}.png")
    if prediction.shape != reference.shape:
        raise GwunetError("its prediction is of another size")
    return frame, prediction, reference


def _no_picture(name: str, problem: GwunetError) -> Markup:
    return element("p", f"{name}: no picture ({problem})", class_="note")


def _told(row: Row) -> str:
    numbers = [f"Dice {row['dice']:.3f}"]
    numbers += [f"{key} {row[key]:.3f}" for key in ("precision", "recall") if isinstance(row.get(key), int | float)]
    owner = f"patient {row['patient']}, " if row.get("patient") else ""
    faults = "; ".join(faults_of([row]))
    return f" {owner}fold {row['fold']}: {', '.join(numbers)}" + (f". {faults}" if faults else "")
