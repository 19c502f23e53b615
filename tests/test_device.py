"""What is asked of a machine: the memory that a plan may take for granted, the numbers it computes in."""

import os
from pathlib import Path

import pytest
import torch

import gwunet.device
from gwunet.device import available_memory_gb, computes_bf16
from gwunet.trainers.precision import Precision


@pytest.mark.parametrize(
    ("limit", "gib"),
    [(f"{4 * 1024**3}\n", 2.0), ("max\n", 32.0), (f"{2**63 - 4096}\n", 32.0), (None, 32.0)],
    ids=["4 GiB", "none", "more than there is", "no file"],
)
def test_a_containers_limit_counts(
    limit: str | None, gib: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it, on a machine of 64 GiB."""
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit)
    monkeypatch.setattr(gwunet.device, "MEMORY_LIMIT", path)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * 1024**3 // 4096}.get)
    assert available_memory_gb("cpu") == gib


@pytest.mark.parametrize(
    ("capabilities", "computes"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True, "avx512_bf16": False}, False)],
)
def test_a_cpu_computes_bf16_where_it_has_instructions_for_it(
    capabilities: dict[str, bool], computes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert computes_bf16(torch.device("cpu")) == computes
    assert Precision("auto", torch.device("cpu")).name == ("bfloat16" if computes else "float32")
    assert Precision("fp32", torch.device("cpu")).name == "float32"
