"""The published tables: typed in without a slip, as far as their own identities tell, and trainable here."""

import numpy as np
import pytest

from gwunet.evaluation import score_frame, summarise
from gwunet.jsonio import to_json
from gwunet.losses import LOSSES
from gwunet.planning import PLANNERS
from shared.tables import FGANET_COLUMNS, LINKNET_COLUMNS, TABLES


def test_every_row_is_there_once_and_names_what_can_be_planned() -> None:
    assert {name: len(table.rows) for name, table in TABLES.items()} == {
        "fganet_1": 6,
        "fganet_2": 5,
        "linknet_1": 5,
        "linknet_2": 16,
        "linknet_3": 6,
    }
    configurations = {PLANNERS.get(name).configuration_name for name in PLANNERS.names()}
    for table in TABLES.values():
        names = [row.name for row in table.rows]
        assert len(set(names)) == len(names)
        assert table.reference in names
        assert {row.configuration for row in table.rows} <= configurations | {None}
        assert all(set(row.published) <= {column.name for column in table.columns} for row in table.rows)
        for loss in filter(None, (row.loss(0.5) for row in table.rows)):
            assert LOSSES.get(loss.name)(**loss.arguments).alpha == loss.arguments["alpha"]


@pytest.mark.parametrize("name", ["fganet_1", "fganet_2"])
def test_figures_of_fga_net_fit_each_other(name: str) -> None:
    """Macro-F1 is the mean of wire's and background's F1, and the latter near 100; MIoU is no less than Dice allows."""
    for row in TABLES[name].rows:
        figures = row.published
        assert 99.5 < 2 * figures["Macro-F1"] - figures["Dice"] < 100, row.name
        assert figures["MIoU"] >= 100 * figures["Dice"] / (200 - figures["Dice"]) - 0.01, row.name
    assert max(TABLES[name].rows, key=lambda row: row.published["Dice"]).name == TABLES[name].reference


def test_figures_of_linknet_fit_each_other() -> None:
    """F1 is the harmonic mean of precision and recall, but for the rounding."""
    for row in TABLES["linknet_2"].rows:
        precision, recall = row.published["Precision"], row.published["Recall"]
        assert row.published["F1"] == pytest.approx(2 * precision * recall / (precision + recall), abs=2.5e-3), row.name
    for name in ("linknet_1", "linknet_2"):
        assert max(TABLES[name].rows, key=lambda row: row.published["F1"]).name == TABLES[name].reference


def test_columns_are_read_from_a_summary_in_the_papers_units() -> None:
    """Two frames of 4 x 4: one found whole with as much beside it, one with half found and nothing else."""
    reference = np.zeros((2, 4, 4), np.uint8)
    reference[:, 1] = 1
    found = reference.copy()
    found[0, 2] = 1
    found[1, 1, :2] = 0
    scores = [score_frame(str(index), reference[index], found[index]) for index in range(2)]
    summary = to_json(summarise(scores))
    ours = {column.name: column.read(summary) for column in FGANET_COLUMNS}
    assert ours["Precision"] == pytest.approx(100 * (0.5 + 1) / 2)
    assert ours["Dice"] == pytest.approx(100 * 2 / 3)
    assert ours["MIoU"] == pytest.approx(50)
    assert ours["OIoU"] == pytest.approx(100 * 6 / 12)
    assert ours["AUC"] == pytest.approx(100 * ((1 + 8 / 12) / 2 + (0.5 + 1) / 2) / 2)
    pooled = {column.name: column.read(summary) for column in LINKNET_COLUMNS}
    assert pooled == pytest.approx({"Precision": 6 / 10, "Recall": 6 / 8, "F1": 12 / 18})
