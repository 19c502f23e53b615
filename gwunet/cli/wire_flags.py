"""The flags that say which guidewires are looked for, of all commands that look for them."""

import argparse
from typing import Literal

Wires = int | Literal["auto", "none"]


def add_wire_flags(parser: argparse.ArgumentParser) -> None:
    """``--wires`` and ``--track``."""
    parser.add_argument(
        "--wires",
        type=_wires,
        default="auto",
        metavar="N",
        help="guidewires in a frame, at most: auto (default), 1, 2, ...; none leaves them alone",
    )
    parser.add_argument(
        "--track", action="store_true", help="wires keep their numbers along a sequence, tips are filtered; with plots"
    )


def _wires(text: str) -> Wires:
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; wanted auto, none, or a number from 1 on")
    return int(text)


def wanted_wires(arguments: argparse.Namespace) -> int | Literal["auto"] | None:
    """What ``--wires`` says, as the library takes it."""
    return None if arguments.wires == "none" else arguments.wires
