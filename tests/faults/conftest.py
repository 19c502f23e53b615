"""What the tests of faults share: one finished workspace for all of them, as ``benchmarks/fault_bench.py`` makes it."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.workspace import make_workspace


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A workspace with everything made, by the commands; made once for all workers, and not to be written to."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    root = shared / "faults"
    with (shared / "faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            make_workspace(shared / "faults-unfinished", folds=1)
            (shared / "faults-unfinished").rename(root)
    return root


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Callable[..., Path]:
    """``copied("raw", "preprocessed")``: these parts of the finished workspace, to be damaged."""

    def copy(*parts: str) -> Path:
        for part in parts:
            shutil.copytree(whole / part, tmp_path / "ws" / part)
        return tmp_path / "ws"

    return copy
