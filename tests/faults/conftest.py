"""What the tests of faults share: the bench of kills as a module, and one finished workspace for all of them."""

import fcntl
import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fault_bench.py"


@pytest.fixture(scope="session")
def bench() -> ModuleType:
    """``benchmarks/fault_bench.py``."""
    spec = importlib.util.spec_from_file_location("fault_bench", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, bench: ModuleType, worker_id: str) -> Path:
    """A workspace with everything made, by the commands; made once for all workers, and not to be written to."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    root = shared / "faults"
    with (shared / "faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            bench.make_workspace(shared / "faults-unfinished", folds=1)
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
