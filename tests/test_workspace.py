"""Where raw, preprocessed and results are, and how a dataset is named."""

from pathlib import Path

import pytest

from gwunet.errors import DatasetError, UsageError
from gwunet.workspace import Workspace

VARIABLES = ("GWUNET_WORKSPACE", "GWUNET_RAW", "GWUNET_PREPROCESSED", "GWUNET_RESULTS")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def make(workspace: Workspace, *names: str) -> None:
    for name in names:
        (workspace.raw / name).mkdir(parents=True)


def test_default_is_in_the_current_folder() -> None:
    workspace = Workspace.find()
    assert workspace.raw == Path("gwunet_workspace/raw")
    assert workspace.results == Path("gwunet_workspace/results")


def test_variables_move_the_whole_or_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GWUNET_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.setenv("GWUNET_RESULTS", str(tmp_path / "elsewhere"))
    workspace = Workspace.find()
    assert workspace.raw == tmp_path / "w" / "raw"
    assert workspace.preprocessed == tmp_path / "w" / "preprocessed"
    assert workspace.results == tmp_path / "elsewhere"


def test_an_explicit_root_wins_over_every_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "/nowhere")
    workspace = Workspace.find(tmp_path)
    assert (workspace.raw, workspace.results) == (tmp_path / "raw", tmp_path / "results")


@pytest.mark.parametrize("identifier", [7, "7", "007", "Dataset007_TACE"])
def test_a_dataset_is_found_by_id_and_by_name(tmp_path: Path, identifier: str | int) -> None:
    workspace = Workspace.find(tmp_path)
    make(workspace, "Dataset007_TACE", "Dataset077_Other", "notes")
    assert workspace.raw_dataset(identifier) == tmp_path / "raw" / "Dataset007_TACE"
    assert workspace.preprocessed_dataset(identifier) == tmp_path / "preprocessed" / "Dataset007_TACE"


def test_a_dataset_with_results_only_can_predict_but_not_train(tmp_path: Path) -> None:
    workspace = Workspace.find(tmp_path)
    (workspace.results / "Dataset501_TACE").mkdir(parents=True)
    assert workspace.results_dataset(501) == tmp_path / "results" / "Dataset501_TACE"
    with pytest.raises(DatasetError, match="Dataset501_TACE: found no such folder"):
        workspace.raw_dataset(501)


def test_a_missing_dataset_lists_those_there_are(tmp_path: Path) -> None:
    workspace = Workspace.find(tmp_path)
    with pytest.raises(DatasetError, match="no dataset"):
        workspace.dataset_name(502)
    make(workspace, "Dataset501_TACE")
    with pytest.raises(DatasetError, match=r"dataset 502: not found .*Dataset501_TACE.*--workspace"):
        workspace.dataset_name("502")
    with pytest.raises(DatasetError, match="not found"):
        workspace.dataset_name("../raw/Dataset501_TACE")


def test_two_folders_of_one_id_are_refused(tmp_path: Path) -> None:
    workspace = Workspace.find(tmp_path)
    make(workspace, "Dataset501_A", "Dataset501_B")
    with pytest.raises(DatasetError, match="Dataset501_A and Dataset501_B"):
        workspace.dataset_name(501)
    assert workspace.dataset_name("Dataset501_B") == "Dataset501_B"


def test_a_new_dataset_needs_a_free_id_and_a_proper_name(tmp_path: Path) -> None:
    workspace = Workspace.find(tmp_path)
    make(workspace, "Dataset501_A")
    assert workspace.new_raw_dataset("Dataset502_B") == tmp_path / "raw" / "Dataset502_B"
    assert workspace.new_raw_dataset("Dataset501_A") == tmp_path / "raw" / "Dataset501_A"
    for name, reason in (
        ("Dataset501_B", "same id"),
        ("Angio", "wanted the form"),
        ("Dataset1_a/../b", "wanted the form"),
    ):
        with pytest.raises(UsageError, match=reason):
            workspace.new_raw_dataset(name)
