"""``gw_evaluate`` as its users call it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from gwunet.cli.evaluate import main
from gwunet.io.frames import write_frame, write_mask


@pytest.fixture
def folders(tmp_path):
    for i, length in enumerate((20, 15, 0, 20)):
        reference, prediction = np.zeros((2, 24, 32), dtype=np.uint8)
        reference[12, 4:24] = 1
        prediction[12, 4 : 4 + length] = 1
        write_mask(tmp_path / "reference" / f"run_{i}.png", reference)
        write_mask(tmp_path / "prediction" / f"run_{i}.png", prediction)
    return tmp_path / "reference", tmp_path / "prediction"


def test_prints_a_table_and_writes_beside_the_predictions(folders, capsys):
    reference, prediction = folders
    assert main(["-r", str(reference), "-p", str(prediction)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 frames"
    (dice,) = (line.split() for line in lines if line.startswith("dice"))
    assert float(dice[1]) == pytest.approx(110 / 135, abs=1e-4)
    worst = lines[lines.index("worst frames by Dice:") + 1 :]
    assert ["run_2" in worst[0], "run_1" in worst[1]] == [True, True]
    assert "frames in which nothing was predicted: 1" in lines
    assert (prediction / "summary.json").is_file()
    assert (prediction / "summary.csv").is_file()
    # The files written beside the masks do not disturb a second run.
    assert main(["-r", str(reference), "-p", str(prediction)]) == 0


def test_several_predictions_stand_side_by_side(folders, tmp_path, capsys):
    reference, prediction = folders
    exact = tmp_path / "exact"
    for path in reference.iterdir():
        (exact / path.name).parent.mkdir(exist_ok=True)
        (exact / path.name).write_bytes(path.read_bytes())
    output = tmp_path / "comparison.json"
    assert main(["-r", str(reference), "-p", str(prediction), str(exact), "-o", str(output), "--wires", "masks"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["prediction", "exact"] in lines
    recall = [line for line in lines if line[:1] == ["recall"]]
    assert recall[0][1:] == ["0.6875", "1.0000"]
    assert recall[1][1] == "+0.3125"
    assert " ".join(recall[1][2:]) == "too few groups to tell"
    assert ["wires_missed", "0.25", "0.00"] in lines
    written = json.loads(output.read_text())
    assert written["predictions"] == ["prediction", "exact"]
    assert json.loads((exact / "summary.json").read_text())["pooled"]["dice"] == 1
    assert (prediction / "summary_wires.csv").is_file()
    assert main(["-r", str(reference), "-p", str(exact), f"{exact}/"]) == 2
    assert "the same folder twice" in capsys.readouterr().err


def test_tells_about_wires_and_patients(tmp_path, capsys):
    raw, prediction = tmp_path / "Dataset001_Test", tmp_path / "prediction"
    cases = {}
    for case, row in (("a", 12), ("b", 14)):
        reference, predicted = np.zeros((2, 24, 32), dtype=np.uint8)
        reference[12, 4:24] = predicted[row, 4:24] = 1
        write_frame(raw / "imagesTs" / f"{case}.png", np.arange(24 * 32, dtype=np.uint16).reshape(24, 32))
        write_mask(raw / "labelsTs" / f"{case}.png", reference)
        write_mask(prediction / f"{case}.png", predicted)
        cases[case] = {"patient": f"patient {case}", "sequence": case}
    labels = {"channel_names": {"0": "xray"}, "labels": {"background": 0, "wire": 1}, "file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps({**labels, "numTraining": 0, "cases": cases}), encoding="utf-8")
    assert main(["-r", str(raw / "labelsTs"), "-p", str(prediction), "--wires", "masks", "-np", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "wires: 2 true (masks), 2 found (masks), 2 matched" in lines
    (tip,) = (line.split() for line in lines if line.startswith("tip error"))
    assert [float(value) for value in tip[2:]] == pytest.approx([1, 1, 1.9, 2], abs=0.02)
    patients = [line.split()[:4] for line in lines if line.startswith("patient ")]
    assert patients == [["patient", "b", "1", "0.0000"], ["patient", "a", "1", "1.0000"]]


def test_exit_statuses(folders, tmp_path, capsys):
    reference, prediction = map(str, folders)
    assert main(["-r", reference, "-p", prediction, "-o", str(tmp_path / "out.txt")]) == 2
    assert "wanted the name of a .json file" in capsys.readouterr().err
    (folders[1] / "run_0.png").unlink()
    assert main(["-r", reference, "-p", prediction]) == 1
    assert "run_0" in capsys.readouterr().err
    assert not (folders[1] / "summary.json").exists()
    assert main(["-r", reference, "-p", prediction, "--allow_missing", "-o", str(tmp_path / "out.json")]) == 0
    assert "not scored, reference or prediction missing: 1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["-r", reference])
    assert stop.value.code == 2


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom gwunet.cli.evaluate import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'numpy', 'scipy', 'skimage', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
