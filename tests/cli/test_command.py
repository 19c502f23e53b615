"""What all commands share, as a person at a terminal meets it."""

import gc
import logging
import sys
import time

import pytest
from tqdm import tqdm

from gwunet.cli import convert, predict, train
from gwunet.cli.command import make_parser, run
from gwunet.cli.progress import bar


@pytest.mark.parametrize(
    ("command", "typed", "said"),
    [
        (train, ["901", "0", "--epcohs", "3"], "found no such flag or argument: --epcohs 3; did you mean --epochs?"),
        (predict, ["-i", "x", "-o", "y", "-d", "1", "--overlays=1"], "--overlays=1; did you mean --overlay?"),
        (convert, ["dicom", "x", "501", "--rat", "3"], "--rat 3; did you mean --rate?"),
        (train, ["901", "0", "--xyz"], "found no such flag or argument: --xyz; see --help"),
    ],
)
def test_a_misspelt_flag_is_named_with_what_was_meant(
    command: object, typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(typed)  # type: ignore[attr-defined]
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_warning_stands_above_the_progress_bar_and_comes_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("gwunet.test")

    def command(_: object) -> None:
        for _ in tqdm(range(2), desc="frames", file=sys.stderr, mininterval=0):
            logger.warning("the disk is nearly full")

    assert run(command, make_parser("A command."), []) == 0
    shown = capsys.readouterr().err
    assert shown.count("WARNING: the disk is nearly full\n") == 1
    for line in shown.split("\n"):
        last = line.split("\r")[-1]  # what stays on the terminal
        assert not ("frames" in last and "WARNING" in last)


def test_the_reason_for_an_end_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: object) -> None:
        unfinished = tqdm(total=3, desc="frames", file=sys.stderr, mininterval=0)
        unfinished.update()
        raise KeyboardInterrupt

    assert run(command, make_parser("A command."), []) == 130
    gc.collect()
    last = capsys.readouterr().err.split("\n")[-2:]
    assert last[0].endswith(": interrupted")
    assert not last[0].startswith("frames")
    assert last[1] == ""


@pytest.mark.parametrize(("is_terminal", "states"), [(True, range(4, 100)), (False, range(1, 4))])
def test_a_file_keeps_few_states_of_a_progress_bar(
    is_terminal: bool, states: range, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    for _ in bar(range(40), 40, "frames"):
        time.sleep(0.02)
    shown = capsys.readouterr().err
    assert "40/40" in shown
    assert shown.count("\r") in states
