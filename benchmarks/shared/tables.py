"""The result tables of both papers as rows that can be trained here, with the published figures.

Reference: FGA-Net paper, Tables 1 and 2; LinkNet paper, tables I, II (a) to (d) and III.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from gwunet.plans import Spec

PAPER_RATIO = 1000.0
"""Background pixels for each wire pixel in the LinkNet paper's frames; its alphas are for this."""

Part = Literal["paper", "per_frame_mean", "pooled"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A metric of a table."""

    name: str
    """As the paper writes it."""
    part: Part
    """Of ``summary.json``."""
    key: str
    """In that part."""
    factor: float = 1.0
    """From there to the table's unit."""

    def read(self, summary: Mapping[str, Any]) -> float | None:
        """The metric from a parsed ``summary.json``, in the table's unit; None where it is undefined there."""
        value = summary[self.part][self.key]
        return None if value is None else self.factor * value


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row: what is trained for it, and what the paper measured."""

    name: str
    """In file names and on the command line."""
    says: str
    """As the paper writes it."""
    configuration: str | None
    """What is planned and trained; None where the method is no network: such a row stands as published."""
    alpha: float | None = None
    """Of a focal loss in place of the planned loss, as the paper writes it; None keeps the planned loss."""
    gamma: float = 0.0
    """0 is the alpha-balanced BCE."""
    pretrained: Literal["never", "where given", "always"] = "never"
    """Whether the row starts from weights trained elsewhere: the paper's did in the last two cases. "where given": it
    is trained from fresh weights where there are none; "always": it is another row then, and is left out."""
    published: Mapping[str, float]
    """Column -> figure."""

    def loss(self, alpha_scale: float) -> Spec | None:
        """The loss in place of the planned one, its alpha times ``alpha_scale``."""
        if self.alpha is None:
            return None
        alpha = self.alpha * alpha_scale
        if self.gamma:
            return Spec(name="ModifiedFocalLoss", arguments={"alpha": alpha, "gamma": self.gamma})
        return Spec(name="BalancedBCELoss", arguments={"alpha": alpha})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of a paper."""

    name: str
    """On the command line."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reference: str
    """Name of the row that the others are compared with, frame by frame."""
    whole: float
    """A perfect score in the table's unit."""
    bars: Literal["rows", "columns"]
    """What has a colour in the chart; the other one are the groups of bars."""
    departs: str
    """What is not as in the paper, in a sentence."""

    @property
    def overlap(self) -> str:
        """Name of the Dice's column, by which rows are compared."""
        return next(column.name for column in self.columns if column.name in ("Dice", "F1"))

    def published(self, row: str, column: str) -> float | None:
        """A figure of the paper; None where it gives none."""
        return next(each for each in self.rows if each.name == row).published.get(column)


FGANET_COLUMNS = (
    Column(name="Precision", part="per_frame_mean", key="precision", factor=100.0),
    *(Column(name=name, part="paper", key=name) for name in ("AUC", "Macro-F1", "Dice", "MIoU", "OIoU")),
)
"""In percent. Precision is in Figure 7 alone, whose bars have no figures."""
LINKNET_COLUMNS = (
    Column(name="Precision", part="pooled", key="precision"),
    Column(name="Recall", part="pooled", key="recall"),
    Column(name="F1", part="pooled", key="dice"),
)


def _percent(auc: float, macro_f1: float, dice: float, miou: float, oiou: float) -> dict[str, float]:
    return {"AUC": auc, "Macro-F1": macro_f1, "Dice": dice, "MIoU": miou, "OIoU": oiou}


def _network(name: str, says: str, *figures: float) -> Row:
    return Row(name=name, says=says, configuration=name, published=_percent(*figures))


FGANET_1 = Table(
    name="fganet_1",
    title="FGA-Net paper, Table 1: six networks",
    columns=FGANET_COLUMNS,
    rows=(
        _network("unet", "U-Net", 91.55, 83.37, 66.80, 50.76, 50.68),
        _network("unetplusplus", "U-Net++", 89.75, 84.01, 68.07, 52.35, 51.54),
        _network("attention_unet", "Attention U-Net", 87.9, 83.8, 67.64, 52.06, 50.47),
        _network("cenet", "CE-Net", 88.32, 84.28, 68.6, 53.08, 51.95),
        _network("deeplabv3plus", "DeepLabV3+", 85.42, 83.3, 66.64, 51.32, 49.47),
        _network("fganet", "FGA-Net", 91.61, 85.63, 71.29, 56.59, 55.30),
    ),
    reference="fganet",
    whole=100.0,
    bars="rows",
    departs="All six have BCE + Dice here, so that FGA-Net's loss is not what differs; the paper's FGA-Net has clDice "
    "too (Table 2), and it does not say what the others had.",
)


def _variant(name: str, says: str, *figures: float) -> Row:
    return Row(name=name, says=says, configuration=f"fganet_{name}", published=_percent(*figures))


FGANET_2 = Table(
    name="fganet_2",
    title="FGA-Net paper, Table 2: BGA, SDA and the loss",
    columns=FGANET_COLUMNS,
    rows=(
        _variant("baseline", "Baseline, BSC", 88.27, 83.14, 66.32, 51.13, 50.23),
        _variant("bga", "Baseline + BGA, BSC", 92.01, 84.22, 68.5, 52.85, 52.32),
        _variant("sda", "Baseline + SDA, BSC", 90.63, 85.14, 70.32, 55.64, 54.05),
        _variant("bd", "whole network, BD", 92.78, 84.03, 68.11, 52.47, 51.78),
        _variant("bsc", "whole network, BSC", 91.64, 85.63, 71.29, 56.59, 55.3),
    ),
    reference="bsc",
    whole=100.0,
    bars="rows",
    departs="BD is BCE + Dice; BSC adds clDice, weighed 0.25 as in its authors' code: the text has no weight.",
)

LINKNET_1 = Table(
    name="linknet_1",
    title="LinkNet paper, Table I: alpha of the balanced BCE",
    columns=LINKNET_COLUMNS,
    rows=tuple(
        Row(
            name=f"alpha_{alpha}",
            says=f"alpha {alpha}",
            configuration="linknet",
            alpha=alpha,
            pretrained="where given",
            published={"F1": f1},
        )
        for alpha, f1 in ((50, 0.788), (100, 0.807), (200, 0.762), (500, 0.734), (1000, 0.701))
    ),
    reference="alpha_100",
    whole=1.0,
    bars="columns",
    departs="The paper gives F1 alone.",
)


def _focal(gamma: float, *rows: tuple[float, float, float, float]) -> tuple[Row, ...]:
    return tuple(
        Row(
            name=f"gamma_{gamma:g}_alpha_{alpha:g}",
            says=f"gamma {gamma:g}, alpha {alpha:g}",
            configuration="linknet",
            alpha=alpha,
            gamma=gamma,
            pretrained="where given",
            published={"Precision": precision, "Recall": recall, "F1": f1},
        )
        for alpha, precision, recall, f1 in rows
    )


LINKNET_2 = Table(
    name="linknet_2",
    title="LinkNet paper, Table II: alpha and gamma of the focal loss",
    columns=LINKNET_COLUMNS,
    rows=(
        *_focal(1.5, (10, 0.963, 0.822, 0.886), (20, 0.903, 0.905, 0.903), (50, 0.839, 0.987, 0.907)),
        *_focal(1.5, (75, 0.796, 0.993, 0.883)),
        *_focal(2, (20, 0.958, 0.809, 0.877), (50, 0.909, 0.925, 0.916), (75, 0.875, 0.958, 0.914)),
        *_focal(2, (100, 0.813, 0.998, 0.896)),
        *_focal(2.5, (50, 0.959, 0.880, 0.917), (75, 0.923, 0.931, 0.926), (100, 0.919, 0.946, 0.932)),
        *_focal(2.5, (125, 0.891, 0.962, 0.924)),
        *_focal(3, (100, 0.938, 0.861, 0.898), (125, 0.928, 0.899, 0.913), (150, 0.925, 0.932, 0.928)),
        *_focal(3, (200, 0.899, 0.953, 0.925)),
    ),
    reference="gamma_2.5_alpha_100",
    whole=1.0,
    bars="columns",
    departs="The loss is a mean over pixels here and a sum in the paper's text.",
)


def _method(name: str, says: str, f1: float, configuration: str | None = None, pretrained: bool = False) -> Row:
    return Row(
        name=name,
        says=says,
        configuration=configuration,
        alpha=None if configuration is None else 100,
        gamma=2.5,
        pretrained="always" if pretrained else "never",
        published={"F1": f1},
    )


LINKNET_3 = Table(
    name="linknet_3",
    title="LinkNet paper, Table III: pretraining, U-Net and other methods",
    columns=LINKNET_COLUMNS,
    rows=(
        _method("ours", "Ours (pretrained encoder)", 0.932, "linknet", pretrained=True),
        _method("mwpr", "MWPR (not pretrained)", 0.905, "linknet"),
        _method("unet", "U-Net", 0.866, "unet"),
        _method("itt", "ITT", 0.857),
        _method("dt", "DT", 0.875),
        _method("ge", "GE", 0.911),
    ),
    reference="mwpr",
    whole=1.0,
    bars="columns",
    departs="All networks have the focal loss with alpha 100 and gamma 2.5, as in the paper, which gives F1 alone. "
    "ITT, DT and GE are no networks: their figures stand as published and nothing is run for them.",
)

TABLES: dict[str, Table] = {table.name: table for table in (FGANET_1, FGANET_2, LINKNET_1, LINKNET_2, LINKNET_3)}
