"""The commands.

Ctrl-C while the modules of a command are still imported, or while its process ends, is answered as in its midst: by one
line, and by an exit status that a shell shows as 130. ``gwunet.cli.command.run`` does that for all between.
"""

import sys
from types import TracebackType

_print_traceback = sys.excepthook


def _say_interruption(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(f"{sys.argv[0].rpartition('/')[2]}: interrupted", file=sys.stderr)
    else:
        _print_traceback(kind, problem, trace)


sys.excepthook = _say_interruption
