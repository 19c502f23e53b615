"""The memory that a plan may take for granted."""

import os
from pathlib import Path

import pytest

import gwunet.device
from gwunet.device import available_memory_gb


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
