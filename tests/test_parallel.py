"""Results come in order, few are waited for, and a process that dies is said to have."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gwunet import parallel
from gwunet.errors import DatasetError
from gwunet.parallel import TASKS_AHEAD, workers


def test_results_come_in_the_order_of_the_jobs() -> None:
    def late(job: int) -> int:
        time.sleep(0.002 * (job % 3 == 0))
        return job * job

    for count in (1, 3):
        with workers(count, 20, "here") as run:
            assert list(run(late, range(20))) == [job * job for job in range(20)]


def test_what_is_not_yet_taken_is_bounded() -> None:
    started: list[int] = []
    with workers(2, 100, "here") as run:
        results = run(started.append, range(100))
        next(results)
        time.sleep(0.05)
        assert len(started) <= 2 * TASKS_AHEAD + 2


def test_jobs_are_taken_one_after_another_and_an_error_ends_them() -> None:
    def jobs() -> Iterator[int]:
        yield from range(50)

    def fail(job: int) -> int:
        if job == 3:
            raise ValueError(str(job))
        return threading.get_ident()

    with pytest.raises(ValueError, match="3"), workers(2, 50, "here") as run:
        list(run(fail, jobs()))


def test_many_frames_go_to_processes_and_a_dead_one_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "FRAMES_PER_PROCESS", 1)
    with workers(2, 5, "here") as run:
        assert list(run(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
    died = pytest.raises(DatasetError, match=r"here: a worker process died .* run again with -np 1")
    with died, workers(2, 2, "here") as run:
        list(run(os._exit, range(2)))


def test_a_script_without_a_main_guard_is_told_of_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from gwunet import parallel\nparallel.FRAMES_PER_PROCESS = 1\n"
        "with parallel.workers(2, 4, 'here') as run:\n    print(list(run(abs, range(-4, 0))))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    # Not always in the last line: Python's own tracker of shared resources may complain after it.
    assert any('for lack of `if __name__ == "__main__":`' in line for line in done.stderr.splitlines()[-4:])
    piped = subprocess.run([sys.executable, "-"], input=script.read_text(), capture_output=True, text=True, check=True)
    assert piped.stdout.strip() == "[4, 3, 2, 1]"


def test_processes_end_with_a_killed_command(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\nfrom gwunet import parallel\nparallel.FRAMES_PER_PROCESS = 1\n"
        "def work(job):\n    print(os.getpid(), flush=True)\n    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    with parallel.workers(2, 2, 'here') as run:\n        list(run(work, range(2)))\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        started = [int(command.stdout.readline()) for _ in range(2)]
        command.kill()
        try:
            command.communicate(timeout=20)  # the pipe ends once no process holds its other end
        except subprocess.TimeoutExpired:
            for process in started:
                os.kill(process, signal.SIGKILL)
            raise
