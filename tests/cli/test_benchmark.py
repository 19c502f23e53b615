"""``gw_benchmark`` as its users call it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gwunet.cli.benchmark import main
from gwunet.exposed_field import Border
from gwunet.jsonio import write_json
from gwunet.plans import Configuration, Plans, Preprocessing, Spec

NAME = "Dataset903_Planned"
WIDE = 800
"""Channels of the bottleneck, so that its weights alone take 22 MiB."""
WITHIN = {
    "U-Net": 3.0,
    "U-Net++": 3.0,
    "Attention U-Net": 3.0,
    "CE-Net": 3.0,
    "DeepLabV3+": 15.0,
    "FGA-Net": 3.0,
}
"""Percent that our count may be off the paper's."""


@pytest.fixture
def workspace(tmp_path: Path, make_configuration: Callable[..., Configuration]) -> Path:
    """A dataset with two plans: one names an argument that there is not, one has patches too small to train on."""
    broken = make_configuration(name="broken", network=Spec(name="FGANet", arguments={"depth": 3}))
    wide: dict[str, Any] = {"features": [2, WIDE], "decoder_features": [2], "use_sda": False, "use_bga": False}
    small = make_configuration(network=Spec(name="FGANet", arguments=wide), patch_size=(2, 2))
    plans = Plans(
        schema_version=1,
        dataset=NAME,
        preprocessing=Preprocessing(borders={"uint8": Border(level=15.0, threshold=20.0, spread=2.0)}),
        configurations={"broken": broken, "fganet": small},
    )
    write_json(tmp_path / "preprocessed" / NAME / "plans.json", plans)
    return tmp_path


def test_the_installed_command_measures_what_is_planned(workspace: Path) -> None:
    """What fails says why, what was measured before stays, and the next one follows."""
    command = Path(sys.executable).with_name("gw_benchmark")
    arguments = ["-d", "903", "--workspace", str(workspace), "--repeats", "3", "--device", "cpu", "--threads", "1"]
    done = subprocess.run(
        [command, *arguments, "-o", str(workspace / "out")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    table = done.stdout.splitlines()
    assert re.fullmatch(r"broken( +-)+", table[1])
    assert re.match(r" +failed: TypeError: .*'depth'", table[2])
    assert re.match(r"fganet +5\.\d\d M +\d", table[3])
    assert table[4].strip() == "failed: ValueError: patches are 2 x 2, one edge must be above 2"
    report = json.loads((workspace / "out" / "benchmark.json").read_text())
    assert (report["schema_version"], report["machine"]["threads"], report["machine"]["gpu"]) == (1, 1, None)
    conditions = {"device": "cpu", "precision": "fp32", "repeats": 3, "threads": 1, "training": True}
    assert report["conditions"] == conditions
    broken, fganet = report["results"]
    assert (broken["cost"], broken["forward"], broken["training"]) == (None, None, None)
    assert fganet["training"] is None
    forward = fganet["forward"]
    assert (forward["size"], forward["batch_size"]) == ([64, 64], 1)
    assert 0 < forward["min_ms"] <= forward["median_ms"] <= forward["max_ms"]
    assert forward["frame_ms"] * forward["frames_per_second"] == pytest.approx(1000)
    with Image.open(workspace / "out" / "benchmark.png") as picture:
        assert picture.size == (1080, 720)
    # The weights, their folded copy and buffers of the convolutions: 116 to 125 MiB in three runs by hand. Once it was
    # 226 MiB beside the rest of the suite; why is not known, so that the bound is wider than what it should hold.
    weights_mib = 4 * fganet["cost"]["parameters"] / (1 << 20)
    if sys.platform == "linux":
        assert weights_mib <= forward["peak_memory_mib"] <= 20 * weights_mib


def test_counting_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--networks", "LinkNet", "--no_timing", "-o", str(tmp_path)]
    assert main([*common, "--size", "64", "96", "--channels", "3"]) == 0
    assert "LinkNet" in capsys.readouterr().out
    (result,) = json.loads((tmp_path / "benchmark.json").read_text())["results"]
    assert result["network"]["arguments"] == {"in_channels": 3}
    assert (result["forward"], result["training"]) == (None, None)
    assert not (tmp_path / "benchmark.png").exists()  # nothing was timed
    small = result["cost"]["plain"]
    assert main([*common, "--size", "128", "96", "--channels", "3"]) == 0
    (result,) = json.loads((tmp_path / "benchmark.json").read_text())["results"]
    assert result["cost"]["plain"] == pytest.approx(2 * small, rel=0.01)  # the head's borders aside


def test_table1_beside_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table1", "--no_timing"]) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    rows = {row[:16].strip(): row[16:].split() for row in table.splitlines()[3:]}
    assert list(rows) == [*WITHIN, "LinkNet"]
    for name, limit in WITHIN.items():
        giga, its_way, differ, _, truly, deformable = rows[name][:6]
        assert float(differ) == pytest.approx(100 * (float(its_way) / float(giga) - 1), abs=0.1)
        assert abs(float(differ)) <= limit, name
        assert float(truly) <= float(its_way)
        assert (float(deformable) > 0) == (name == "FGA-Net")
    assert rows["FGA-Net"][-4:] == ["17.18", "(RTX", "4090)", "-"]
    assert rows["LinkNet"][-4:] == ["130", "(TITAN", "Xp)", "-"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--networks", "FGANett"], ["unknown network 'FGANett'", "did you mean 'FGANet'"]),
        (["--size", "0"], ["--size 0"]),
        (["--size", "64", "-1"], ["--size -1"]),
        (["--size", "1", "2", "3"], ["--size 1 2 3", "rows and columns"]),
        (["--batch_size", "0"], ["--batch_size 0"]),
        (["--channels", "0"], ["--channels 0"]),
        (["--repeats", "0"], ["--repeats 0"]),
        (["--threads", "0"], ["--threads 0"]),
        (["--device", "tpu"], ["tpu"]),
        (["--table1", "--size", "64", "--networks", "FGANet"], ["--networks and --size", "--table1"]),
        (["-d", "903", "--channels", "3"], ["--channels", "-d"]),
        (["-d", "903", "-c", "linknet"], ["linknet", "broken, fganet"]),
        (["-c", "fganet"], ["-c", "-d"]),
    ],
)
def test_wrong_use(arguments: list[str], words: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = workspace / "out"
    assert main([*arguments, "--workspace", str(workspace), "-o", str(out)]) == 2
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert not out.exists()


def test_a_dataset_that_is_not_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", "77", "--workspace", str(tmp_path)]) == 1
    assert "77" in capsys.readouterr().err
