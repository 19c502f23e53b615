"""``gw_evaluate`` as its users call it."""

import subprocess
import sys

import numpy as np
import pytest

from gwunet.cli.evaluate import main
from gwunet.io.frames import write_mask


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
