"""What all commands share: flags, logging, and errors turned into messages and exit statuses."""

import argparse
import contextlib
import difflib
import io
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gwunet.errors import GwunetError, InterruptionError, UsageError
from gwunet.jsonio import UNENCODABLE

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
SIGNALLED = 128
"""A command that a signal ended cleanly gives this plus the signal's number, as shells do."""


class _DefaultsFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every default but None, which stands for "not given" and is explained in the flag's own words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None or action.required else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Names the flag that was probably meant."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"found no such flag or argument: {' '.join(unknown)}{self._meant(unknown)}; see --help")
        return arguments

    def _meant(self, unknown: Sequence[str]) -> str:
        known = [flag for parser in (self, *self._commands()) for flag in parser._option_string_actions]
        flags = [flag.partition("=")[0] for flag in unknown if flag.startswith("-")]
        close = [meant for flag in flags for meant in difflib.get_close_matches(flag, known, n=1)]
        return f"; did you mean {' and '.join(dict.fromkeys(close))}?" if close else ""

    def _commands(self) -> list[argparse.ArgumentParser]:
        return [
            parser
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for parser in action.choices.values()
        ]


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser whose ``--help`` shows every default, and which knows what a misspelt flag was meant to be."""
    return _Parser(description=description, formatter_class=_DefaultsFormatter, allow_abbrev=False)


def add_workspace_flag(parser: argparse.ArgumentParser) -> None:
    """``--workspace``: the folder with raw/, preprocessed/ and results/."""
    parser.add_argument(
        "--workspace",
        metavar="FOLDER",
        help="folder with raw/, preprocessed/ and results/; without it $GWUNET_WORKSPACE, then ./gwunet_workspace",
    )


def add_device_flag(parser: argparse.ArgumentParser) -> None:
    """``--device``: where the network runs."""
    parser.add_argument("--device", default="auto", help="auto (the GPU where there is one), cpu, cuda or cuda:N")


def run(
    command: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse ``argv``, run ``command`` and return the exit status.

    Log records of gwunet go to standard error. A ``UsageError`` gives status 2, any other ``GwunetError`` 1, both
    with their message alone; anything else is a defect and keeps its traceback.
    """
    arguments = parser.parse_args(argv)
    _print_any_name()
    try:
        with _logging_to_stderr():
            return command(arguments) or DONE
    except UsageError as problem:
        _say_last(f"{parser.prog}: {problem}")
        return WRONG_USE
    except InterruptionError as problem:
        _say_last(f"{parser.prog}: {problem}")
        return SIGNALLED + (problem.signal or 0)
    except GwunetError as problem:
        _say_last(f"{parser.prog}: {problem}")
        return FAILED
    except KeyboardInterrupt:
        _say_last(f"{parser.prog}: interrupted")
        return INTERRUPTED


def _print_any_name() -> None:
    """What is printed may hold names of files that have no place in the streams' encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=UNENCODABLE)


def _say_last(line: str) -> None:
    """Print why a command ends, below its progress bars, which would otherwise draw themselves once more after it."""
    tqdm = sys.modules.get("tqdm")
    for bar in list(getattr(getattr(tqdm, "tqdm", None), "_instances", ())):
        bar.close()
    print(line, file=sys.stderr)


class _OnceFilter(logging.Filter):
    """Lets each text through once: a command reads a dataset in several steps, a person its warnings once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in self._said
        self._said.add(text)
        return new


class _BesideBars(logging.StreamHandler[Any]):
    """Writes lines above a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")  # no bar without it
        if tqdm is None:
            super().emit(record)
        else:
            tqdm.tqdm.write(self.format(record), file=self.stream)


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    logger = logging.getLogger("gwunet")
    handler = _BesideBars()
    handler.addFilter(_OnceFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
