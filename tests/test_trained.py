"""The names of folders below ``results``."""

from pathlib import Path

from gwunet.trained import fold_folder, fold_folders, fold_name, model_name, parts_of, trained_models


def test_names_are_read_as_they_were_made() -> None:
    for parts in (("fganet", "FGANetTrainer"), ("mine", "_Hidden"), ("mine", "Two__Parts")):
        assert parts_of(model_name(*parts)) == parts
    folder = fold_folder(Path("results") / "fganet__FGANetTrainer", "all")
    assert folder == Path("results/fganet__FGANetTrainer/fold_all")
    assert fold_name(folder) == "all"


def test_only_folders_with_names_of_models_and_folds_are_found(tmp_path: Path) -> None:
    model = tmp_path / model_name("unet", "UNetTrainer")
    folds = [fold_folder(model, fold) for fold in (0, 1)]
    for folder in (*folds, tmp_path / "ensembles", tmp_path / ".partial-a__b", model / "validation"):
        folder.mkdir(parents=True)
    (tmp_path / "notes__of_mine").touch()
    (model / "fold_2").touch()
    assert trained_models(tmp_path) == [model]
    assert fold_folders(model) == folds
    assert trained_models(tmp_path / "nothing") == []
