"""A process's memory is read of the right process, and its peak is told also after it has gone."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gwunet.benchmark.memory import PeakMemory, status_kib

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")


def test_of_this_process_of_another_and_of_one_that_is_gone() -> None:
    mine = status_kib("VmRSS")
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        its = status_kib("VmRSS", other.pid)
        other.communicate(b"\n")
    assert mine is not None
    assert its is not None
    assert its < mine / 2
    assert status_kib("VmRSS", os.getpid()) == pytest.approx(mine, rel=0.1)
    assert status_kib("VmRSS", other.pid) is None
    assert status_kib("VmNothing") is None


def test_the_peak_stays_when_the_memory_has_gone() -> None:
    memory = PeakMemory(torch.device("cpu"))
    before = memory.peak_mib()
    with mmap.mmap(-1, 64 << 20) as fresh:  # whatever an allocator has kept of earlier tests is no more memory
        np.frombuffer(fresh, np.uint8).__setitem__(slice(None, None, mmap.PAGESIZE), 1)
    after = memory.peak_mib()
    assert before is not None
    assert after is not None
    assert 60 < after - before < 100
