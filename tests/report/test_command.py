"""gw_report as a command."""

from pathlib import Path

import pytest

from gwunet.cli.report import main
from gwunet.workspace import Workspace


def test_it_writes_where_it_is_told_or_among_the_results(
    planned: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["1", "--workspace", str(tmp_path)]) == 0
    usual = planned.results / "Dataset001_Made" / "report.html"
    assert capsys.readouterr().out == f"written: {usual}\n"
    assert usual.is_file()
    assert main(["Dataset001_Made", "-o", str(tmp_path / "x" / "page.html"), "--workspace", str(tmp_path)]) == 0
    assert (tmp_path / "x" / "page.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["1", "-o", "page.pdf"], 2, "-o page.pdf: found the ending '.pdf'; wanted the name of a .html file"),
        (["1", "-p", "nowhere"], 2, "-p nowhere: found no such folder"),
        (["7"], 1, "dataset 7: not found"),
        (["1", "-c", "linknet"], 1, "nothing is trained yet"),
    ],
)
def test_wrong_use_is_said(
    arguments: list[str],
    status: int,
    message: str,
    planned: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*arguments, "--workspace", str(tmp_path)]) == status
    assert message in capsys.readouterr().err
