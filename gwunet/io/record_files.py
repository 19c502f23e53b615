"""Which files in a folder of masks are this program's records of what made them.

``run.json`` is a whole command's of ``gw_predict``, ``run_part_<number>.json`` one's of several that share the frames,
``ensemble.json`` is ``gw_ensemble``'s. What else is called ``run_notes.json``, say, is somebody's.
"""

import re
from pathlib import Path

ENSEMBLE = "ensemble.json"
_RUN = re.compile(r"run(?:_part_(\d+))?\.json", re.ASCII)


def record_name(num_parts: int, part_id: int) -> str:
    """What the record of a command of ``gw_predict`` is called."""
    return "run.json" if num_parts == 1 else f"run_part_{part_id}.json"


def run_records(folder: Path) -> list[Path]:
    """Those of ``gw_predict``, the one of a whole command first; none where there is no such folder."""
    return [path for path in sorted(folder.glob("run*.json")) if _RUN.fullmatch(path.name)]


def records(folder: Path) -> list[Path]:
    """All of them, that of ``gw_ensemble`` last."""
    ensemble = folder / ENSEMBLE
    return [*run_records(folder), *([ensemble] if ensemble.exists() else [])]


def remove_other_records(own: Path, num_parts: int = 1) -> None:
    """Remove what a command that makes all masks anew replaces; of those that share the frames with it, none.

    Args:
        own: the record of that command.
        num_parts: how many commands share the frames.
    """
    shared = {record_name(num_parts, part_id) for part_id in range(num_parts)} if num_parts > 1 else set()
    for path in records(own.parent):
        if path.name not in {own.name, *shared}:
            path.unlink(missing_ok=True)
