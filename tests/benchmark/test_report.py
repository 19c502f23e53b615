"""The report file, and the picture."""

import json
from pathlib import Path

import pytest
from PIL import Image

from gwunet.benchmark import Conditions, Report, Result, Timing, benchmark, draw_cost_against_latency, named_candidates
from gwunet.benchmark import plot as plot_module
from gwunet.jsonio import read_json, write_json
from gwunet.networks.cost import Cost
from gwunet.plans import Spec

VERSION_1 = """{
  "schema_version": 1,
  "date": "2026-11-21T09:38:01+00:00",
  "machine": {"processor": "AMD EPYC", "cores": 2, "threads": 1, "gpu": null, "system": "Linux", "python": "3.11.7",
    "torch": "2.13.0+cpu", "gwunet": "0.1.0"},
  "conditions": {"device": "cpu", "precision": "fp32", "repeats": 1, "threads": null, "training": true},
  "results": [
    {"label": "FGANet", "network": {"name": "FGANet", "arguments": {"in_channels": 1}},
      "cost": {"parameters": 77667747, "plain": 248633088, "deformable": 173850624, "paper": 248633088},
      "forward": {"size": [16, 16], "batch_size": 2, "min_ms": 73.0, "median_ms": 74.0, "max_ms": 75.0,
        "frame_ms": 37.0, "frames_per_second": 27.02, "peak_memory_mib": 359.5},
      "training": null, "failure": "ValueError: patches are 16 x 16, one edge must be above 32"}
  ]
}
"""


def made_result(label: str, giga: float, ms: float) -> Result:
    timing = Timing(
        size=(512, 512),
        batch_size=1,
        min_ms=ms,
        median_ms=ms,
        max_ms=ms,
        frame_ms=ms,
        frames_per_second=1000 / ms,
        peak_memory_mib=None,
    )
    cost = Cost(parameters=1, plain=round(giga * 1e9), deformable=0, paper=0)
    spec = Spec(name=label, arguments={})
    return Result(label=label, network=spec, cost=cost, forward=timing, training=None, failure=None)


def test_a_report_of_version_1_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(VERSION_1)
    report = read_json(Report, path)
    assert report.machine.name == "AMD EPYC, 1 thread"
    write_json(tmp_path / "again.json", report)
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(VERSION_1)
    assert read_json(Report, tmp_path / "again.json") == report


def test_counting_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwunet.benchmark.report.run_alone", lambda *_: pytest.fail("started a process"))
    (result,) = benchmark(named_candidates(["LinkNet"], size=(64, 64)), Conditions(device="cpu"), timing=False)
    assert result.cost is not None
    assert (result.forward, result.training, result.failure) == (None, None, None)


def test_every_label_is_drawn_and_none_covers_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = []
    annotate, extent = plot_module._annotate, plot_module._extent

    def remember(axes, label, point, offset):
        text = annotate(axes, label, point, offset)
        placed.append(text)
        return text

    monkeypatch.setattr(plot_module, "_annotate", remember)
    results = [made_result(f"Network{index}", 100 + index % 3, 50 + index % 2) for index in range(8)]
    results.append(made_result("Alone", 3000, 900))
    draw_cost_against_latency(Report.made_now(Conditions(device="cpu"), results), tmp_path / "cost.png")
    with Image.open(tmp_path / "cost.png") as picture:
        assert picture.size == (1080, 720)
    kept = [text for text in placed if text.figure is not None]
    assert [text.get_text() for text in kept] == [result.label for result in results]
    boxes = [extent(text.figure, text) for text in kept]
    assert all(box.count_overlaps(boxes[:index]) == 0 for index, box in enumerate(boxes))


def test_a_picture_of_nothing_is_still_a_picture(tmp_path: Path) -> None:
    draw_cost_against_latency(Report.made_now(Conditions(device="cpu"), []), tmp_path / "cost.png")
    with Image.open(tmp_path / "cost.png") as picture:
        assert picture.size == (1080, 720)
