"""``-np``: how many frames the commands work on at a time."""

import argparse

from gwunet.errors import UsageError


def add_processes_flag(parser: argparse.ArgumentParser) -> None:
    """``-np``; ``processes`` reads it."""
    parser.add_argument(
        "-np", dest="processes", type=int, metavar="N", help="frames at a time; without it one for each core, up to 8"
    )


def processes(arguments: argparse.Namespace) -> int:
    """What ``-np`` says, or as many as are worth it here.

    Raises:
        UsageError: fewer than one is asked for.
    """
    from gwunet.device import available_cores
    from gwunet.parallel import MAX_PROCESSES

    if arguments.processes is None:
        return min(MAX_PROCESSES, available_cores())
    if arguments.processes < 1:
        raise UsageError(f"-np {arguments.processes}: must be at least 1")
    return int(arguments.processes)
