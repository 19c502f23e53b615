"""The part of the page on how the folds were trained."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gwunet.report.charts import Series, line_chart
from gwunet.report.markup import Markup, element
from gwunet.report.material import FoldRun, Model
from gwunet.report.parts import section, table


def training_section(models: Sequence[Model]) -> Markup:
    """Curves and a table of each model's folds."""
    if not models:
        return section("training", "Training", element("p", "Nothing is trained yet; gw_train does it."))
    return section("training", "Training", [_model(model) for model in models])


def _model(model: Model) -> list[Markup]:
    losses = []
    for number, fold in enumerate(model.folds):
        seen, learned = _points(fold, "val_loss"), _points(fold, "train_loss")
        name = f"fold {fold.name}"
        losses.append(Series(label=name, points=seen, colour=number))
        # Fold "all" has no validation frames, and its name would be nowhere.
        losses.append(
            Series(label="" if seen else name, points=learned, colour=number, dashed=True, name=f"{name} in training")
        )
    overlap = [
        Series(label=f"fold {fold.name}", points=_points(fold, "val_dice"), colour=number)
        for number, fold in enumerate(model.folds)
    ]
    charts = [
        line_chart(
            f"Loss on validation frames, and dashed in training, {model.name}", losses, x_label="epoch", y_label="loss"
        ),
        line_chart(
            f"Dice on validation frames during training, {model.name}",
            overlap,
            x_label="epoch",
            y_label="Dice",
            y_range=(0.0, 1.0),
        ),
    ]
    header = ("fold", "state", "epochs", "last validation Dice", "best average", "s per epoch", "trained on", "frames")
    return [
        element("h3", model.name),
        element("div", *charts, class_="charts"),
        table(header, [_row(fold) for fold in model.folds], label=f"folds of {model.name}"),
    ]


def _points(fold: FoldRun, key: str) -> tuple[tuple[float, float], ...]:
    return tuple((epoch["epoch"], epoch[key]) for epoch in fold.epochs if _has(epoch, "epoch") and _has(epoch, key))


def _has(epoch: Mapping[str, Any], key: str) -> bool:
    value = epoch.get(key)
    return isinstance(value, int | float) and math.isfinite(value)


def _row(fold: FoldRun) -> tuple[str, ...]:
    dice = [epoch["val_dice"] for epoch in fold.epochs if _has(epoch, "val_dice")]
    average = [epoch["val_dice_ema"] for epoch in fold.epochs if _has(epoch, "val_dice_ema")]
    seconds = sorted(epoch["seconds"] for epoch in fold.epochs if _has(epoch, "seconds"))
    state = "validated" if fold.rows else "trained" if fold.finished else "on the way"
    return (
        f"fold {fold.name}",
        state,
        str(len(fold.epochs)),
        f"{dice[-1]:.3f}" if dice else "–",
        f"{max(average):.3f}" if average else "–",
        f"{seconds[len(seconds) // 2]:.1f}" if seconds else "–",
        ", ".join(str(fold.start[key]) for key in ("device", "precision") if key in fold.start) or "–",
        " + ".join(str(len(fold.start[key])) for key in ("train", "val") if isinstance(fold.start.get(key), list))
        or "–",
    )
