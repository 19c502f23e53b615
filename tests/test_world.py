"""Two processes under Gloo against one, and what a process thinks of its place."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gwunet.checkpoint import load_checkpoint
from gwunet.jsonio import to_json
from gwunet.plans import Configuration
from gwunet.world import ALONE, World, joined

SCRIPT = Path(__file__).parent / "world_of_two.py"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture
def seen(folder: Path, make_configuration: Callable[..., Configuration]) -> list[dict[str, Any]]:
    """What the two processes noted; they run once for all tests."""
    if not (folder / "seen_0.pt").exists():
        (folder / "configuration.json").write_text(json.dumps(to_json(make_configuration())))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(SCRIPT), str(folder)]
        done = subprocess.run(
            command, env={**os.environ, **place}, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"seen_{rank}.pt", weights_only=True) for rank in range(2)]


def test_what_processes_tell_each_other(seen: list[dict[str, Any]]) -> None:
    for own in seen:
        assert own["sum"] == [3.0, 20.0]
        assert own["any"] == [True, False]
        assert own["first"] == 7.0
        assert own["collect"] == list("abcde")
        assert own["gather"] == [0.0, 0.0, 1.0, 1.0]
    assert [own["share"] for own in seen] == [["a", "c", "e"], ["b", "d"]]


def test_gradients_of_two_processes_are_those_of_one_with_the_joint_batch(seen: list[dict[str, Any]]) -> None:
    """In float64 and of a loss that is no mean over frames."""
    alone = seen[0]["alone"]
    for own in seen:
        assert own["step"][0]["loss"] == pytest.approx(alone["loss"], abs=1e-12)
        for found, expected in zip(own["step"][0]["gradients"], alone["gradients"], strict=True):
            assert found.dtype == torch.float64
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert max(float(gradient.abs().max()) for gradient in alone["gradients"]) > 1e-3


def test_processes_share_the_gradients_of_an_accumulated_batch(seen: list[dict[str, Any]]) -> None:
    first, second = (own["step"][1] for own in seen)
    assert first["loss"] == second["loss"]
    for found, other in zip(first["gradients"], second["gradients"], strict=True):
        assert torch.equal(found, other)


def test_an_output_that_counts_nothing_does_not_hold_the_processes_up(seen: list[dict[str, Any]]) -> None:
    for own in seen:
        assert own["idle"] == pytest.approx(seen[0]["idle_alone"], rel=1e-5)


def test_a_batch_that_does_not_divide_is_refused_by_all(seen: list[dict[str, Any]]) -> None:
    for own in seen:
        assert own["refusal"].startswith("UsageError: --batch_size: found a batch of 4 patches")
        assert "among 2 processes and 3 accumulated parts; give a multiple of 6" in own["refusal"]


def test_a_run_of_two_is_one_run_with_the_same_weights_and_one_set_of_files(
    seen: list[dict[str, Any]], folder: Path
) -> None:
    two, one = (folder / f"run_of_{size}" for size in (2, 1))
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    assert not list(folder.rglob(".partial-*"))
    weights = [load_checkpoint(run / "checkpoint_final.pt").weights for run in (two, one)]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-6, atol=1e-9)
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (two, one)]
    assert [log[0]["processes"] for log in logs] == [2, 1]
    for record, expected in zip(logs[0][1:], logs[1][1:], strict=True):
        for name in ("train_loss", "val_loss", "val_dice"):
            assert record[name] == pytest.approx(expected[name], rel=1e-6)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ALONE),
        ({"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}, World(3, 4, 1)),
        ({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, ALONE),
        ({"RANK": "2", "LOCAL_RANK": "2"}, ALONE),
    ],
)
def test_a_process_knows_its_place(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: World) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert World.from_environment() == expected


def test_alone_every_question_has_a_trivial_answer() -> None:
    values = torch.arange(3.0)
    assert ALONE.is_writer
    assert list(ALONE.share("abc")) == ALONE.collect("abc") == ["a", "b", "c"]
    assert ALONE.sum(np.array([2.0])).tolist() == [2.0]
    assert (ALONE.any(True), ALONE.any(False), ALONE.first(4.0)) == (True, False, 4.0)
    assert ALONE.gather(values) is values
    with joined("cpu") as world:
        assert world == ALONE


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_batch_norm_sees_the_joint_batch() -> None:
    """Two processes with half a batch each under NCCL: outputs and statistics of one process with the whole."""
    code = """if True:
        import torch
        from torch import nn
        from gwunet.world import joined
        with joined("cuda") as world:
            torch.manual_seed(0)
            whole = torch.randn(6, 3, 5, 5, device="cuda") * torch.arange(1, 7, device="cuda").view(6, 1, 1, 1)
            norm = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(3)).cuda()
            own = norm(whole[world.rank * 3 : world.rank * 3 + 3])
            alone = nn.BatchNorm2d(3).cuda()
            expected = alone(whole)[world.rank * 3 : world.rank * 3 + 3]
            torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(norm.running_var, alone.running_var, rtol=1e-4, atol=1e-4)
    """
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=100)
        assert process.returncode == 0, stderr
