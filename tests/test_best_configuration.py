"""What was trained, compared on the frames that each fold did not see."""

import dataclasses
import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gwunet import best_configuration
from gwunet.best_configuration import commands, find_best_configuration
from gwunet.checkpoint import Checkpoint, digest_of, save_checkpoint
from gwunet.cli import ensemble, predict
from gwunet.cli import find_best_configuration as command
from gwunet.dataset import Dataset
from gwunet.errors import ModelError, SplitError, UsageError
from gwunet.io.probability import write_probability
from gwunet.jsonio import write_json
from gwunet.plans import Configuration, Preprocessing
from gwunet.postprocessing.shipped import read_shipped, stale_checkpoints
from gwunet.progress import Progress
from gwunet.splits import make_splits
from gwunet.validation import MadeBy, masks_digest
from gwunet.workspace import Workspace

LEFT, RIGHT, FAINT = "fganet__LeftTrainer", "linknet__RightTrainer", "unet__FaintTrainer"
SIDES = {LEFT: slice(4, 20), RIGHT: slice(20, 36), FAINT: slice(4, 36)}


@pytest.fixture
def workspace(
    make_raw_dataset: Callable[..., Dataset], make_configuration: Callable[..., Configuration], tmp_path: Path
) -> Workspace:
    """Ten patients in five folds; LEFT is sure of one half of each wire and unsure of the other, RIGHT conversely."""
    rng = np.random.default_rng(0)
    pairs = {}
    for number in range(10):
        mask = np.zeros((40, 40), np.uint8)
        mask[8 + number : 11 + number, 4:36] = 255
        pairs[f"p{number}_f0"] = (rng.integers(60, 200, mask.shape).astype(np.uint8), mask)
    raw = make_raw_dataset(pairs, cases={name: {"patient": name[:2]} for name in pairs})
    workspace = Workspace.find(tmp_path)
    splits = make_splits(raw.training, dict.fromkeys(pairs, 96))
    write_json(workspace.preprocessed / raw.name / "splits.json", splits)
    for model, side in SIDES.items():
        for number, fold in enumerate(splits.folds):
            folder = workspace.results / raw.name / model / f"fold_{number}"
            save_checkpoint(
                folder / "checkpoint_final.pt",
                Checkpoint(
                    dataset=raw.name,
                    trainer=model.split("__")[1],
                    configuration=make_configuration(name=model.split("__")[0]),
                    preprocessing=Preprocessing(borders={}),
                    weights={},
                    epoch=number + 1,
                    cases=fold.train,
                ),
            )
            for name in fold.val:
                mask = raw.read_mask(raw.case(name))
                probability = np.where(mask == 1, 0.3 if model == FAINT else 0.45, 0.02)
                if model == FAINT:
                    probability[:3] = 0.4  # false alarms in every frame
                else:
                    probability[:, side][mask[:, side] == 1] = 0.9
                    guess = rng.uniform(0, 1, mask.shape) < 0.25
                    probability[guess & (mask == 0)] = 0.48
                write_probability(folder / "validation" / f"{name}.npz", probability)
            seal(folder)
    return workspace


def seal(folder: Path) -> None:
    digest = digest_of(folder / "checkpoint_final.pt")
    made_by = MadeBy(schema_version=1, checkpoint_sha256=digest)  # frames and masks unknown, as in 0.1
    write_json(folder / "validation" / "made_by.json", made_by)


def fold_of(workspace: Workspace, model: str, fold: int) -> Path:
    return workspace.results / "Dataset001_Made" / model / f"fold_{fold}"


def rewrite(folder: Path, **changes: Any) -> None:
    from gwunet.checkpoint import load_checkpoint

    path = folder / "checkpoint_final.pt"
    save_checkpoint(path, dataclasses.replace(load_checkpoint(path), **changes))


def test_the_pair_that_completes_each_other_is_found(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.main(["1", "--workspace", str(workspace.results.parent), "-np", "1", "--device", "cpu"]) == 0
    results = workspace.results / "Dataset001_Made"
    best = json.loads((results / "best_configuration.json").read_text())
    pair = f"{LEFT}+{RIGHT}"
    assert best["recommended"] == best["candidates"][0]["name"] == pair
    assert best["candidates"][0]["postprocessed"]["dice"] == 1
    assert {candidate["name"] for candidate in best["candidates"]} == {
        LEFT,
        RIGHT,
        FAINT,
        pair,
        f"{LEFT}+{FAINT}",
        f"{RIGHT}+{FAINT}",
    }
    shown = {each["other"]: each["verdict"] for each in best["differences"]}
    assert shown[LEFT] == shown[RIGHT] == "a difference is shown"
    assert [each["n_groups"] for each in best["differences"]] == [10] * 5
    for name in (LEFT, f"ensembles/{pair}"):
        validation = json.loads((results / name / "cross_validation.json").read_text())
        assert validation["as_planned"]["n_frames"] == 10
        assert sorted(validation["fold_of"].values()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        shipped = read_shipped(results / name / "postprocessing.json")
        assert len(shipped.checkpoints) == 5 * len(shipped.models)
        assert stale_checkpoints(shipped, shipped.checkpoints | {"fold_all": "other"}) == []
        first = next(iter(shipped.checkpoints))
        assert stale_checkpoints(shipped, {first: "other"}) == [first]
    output = capsys.readouterr().out
    assert "a difference is shown" in output
    assert f"recommended: {pair}" in output
    # Every command that is written is one that the commands accept.
    lines = [line for line in (results / "how_to_predict.txt").read_text().splitlines() if line.startswith("gw_")]
    assert [line.split()[0] for line in lines] == ["gw_predict", "gw_predict", "gw_ensemble"]
    for module in (predict, ensemble):
        monkeypatch.setattr(module, "run", lambda _, parser, argv: parser.parse_args(argv) and 0)
    for line in lines:
        module = {"gw_predict": predict, "gw_ensemble": ensemble}[line.split()[0]]
        assert module.main(shlex.split(line)[1:]) == 0
        assert line in output


def test_a_pair_that_is_not_shown_to_be_better_is_not_recommended(workspace: Workspace) -> None:
    """Of two folds there are four patients, too few for an interval."""
    best = find_best_configuration(1, workspace=workspace, configurations=["fganet", "linknet"], folds=[1, 3])
    assert best.candidates[0].name == f"{LEFT}+{RIGHT}"
    assert best.recommended in (LEFT, RIGHT)
    assert {each.verdict for each in best.differences} == {"too few groups to tell"}
    assert all(each.interval is None for each in (*best.differences, *best.candidates))
    assert any("folds 0, 2, 4 are left out" in note for note in best.notes)
    # A model that predicts nothing has no breaks to show, and one that misses wires says in how many frames.
    first = best.candidates[0]
    nothing = dataclasses.replace(
        first,
        ships="as planned",
        as_planned={**first.as_planned, "breaks": None},
        left_out={"breaks": "left out in 4 of 4 frames: nothing of the wire is predicted (4)"},
    )
    lines = command.describe(dataclasses.replace(best, candidates=(nothing,)))
    assert lines[2].endswith(" -")
    assert f"breaks of {first.name}: left out in 4 of 4 frames: nothing of the wire is predicted (4)" in lines


def test_a_missing_fold_is_refused_or_named(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    (fold_of(workspace, RIGHT, 2) / "checkpoint_final.pt").unlink()
    with pytest.raises(ModelError, match=r"fold 2 not trained .* gw_train .* 2 -c linknet .* --folds 0 1 3 4"):
        find_best_configuration(1, workspace=workspace, configurations=["linknet"])
    best = find_best_configuration(1, workspace=workspace, ensembles=False)
    assert {candidate.name for candidate in best.candidates} == {LEFT, FAINT}
    assert "left out" in caplog.text
    assert len(find_best_configuration(1, workspace=workspace, folds=[0], ensembles=False).candidates) == 3
    with pytest.raises(UsageError, match="fold 5"):
        find_best_configuration(1, workspace=workspace, folds=[5])
    with pytest.raises(ModelError, match="no trained configuration 'cenet'"):
        find_best_configuration(1, workspace=workspace, configurations=["cenet"])


def test_frames_without_a_patient_are_groups_by_their_sequences(workspace: Workspace) -> None:
    """And not one group of nobody's, which would stand in several folds."""
    path = workspace.raw / "Dataset001_Made" / "dataset.json"
    cases = {f"p{number}_f0": {"patient" if number < 5 else "sequence": f"p{number}"} for number in range(10)}
    path.write_text(json.dumps({"cases": cases}))
    best = find_best_configuration(1, workspace=workspace, configurations=["fganet"])
    assert (best.grouping, best.n_frames) == ("patient", 10)


def test_a_fold_that_knows_its_frames_is_refused(workspace: Workspace) -> None:
    folder = fold_of(workspace, LEFT, 1)
    rewrite(folder, cases=("p0_f0", "p1_f0", "p2_f0", "p3_f0", "p4_f0", "p5_f0", "p6_f0", "p7_f0", "p8_f0", "p9_f0"))
    seal(folder)
    with pytest.raises(SplitError, match="trained on 2 of the frames it would be judged on"):
        find_best_configuration(1, workspace=workspace, configurations=["fganet"])
    rewrite(folder, cases=None)
    seal(folder)
    best = find_best_configuration(1, workspace=workspace, configurations=["fganet"])
    assert any(f"{LEFT}, fold 1: does not say which frames" in note for note in best.notes)
    rewrite(folder, cases=("before", "then"))  # renamed since, so it is not known whose they are
    seal(folder)
    best = find_best_configuration(1, workspace=workspace, configurations=["fganet"])
    assert any(f"{LEFT}, fold 1: was trained on 2 frames that the dataset no longer has" in each for each in best.notes)


def test_what_was_judged_is_recorded(workspace: Workspace) -> None:
    best = find_best_configuration(1, workspace=workspace, configurations=["fganet"])
    results = workspace.results / "Dataset001_Made"
    digests = {f"{LEFT}/fold_{k}": digest_of(fold_of(workspace, LEFT, k) / "checkpoint_final.pt") for k in range(5)}
    raw = Dataset.open(workspace.raw / "Dataset001_Made")
    for written in (results / "best_configuration.json", results / LEFT / "cross_validation.json"):
        content = json.loads(written.read_text())
        assert content["checkpoints"] == digests
        assert content["masks_sha256"] == best.masks_sha256 == masks_digest(raw, [f"p{n}_f0" for n in range(10)])


def test_pairs_that_are_not_compared_go(workspace: Workspace) -> None:
    results = workspace.results / "Dataset001_Made"
    find_best_configuration(1, workspace=workspace, folds=[0])
    assert len(list((results / "ensembles").iterdir())) == 3
    own = results / "ensembles" / f"{LEFT}+{FAINT}" / "notes.txt"
    own.touch()
    find_best_configuration(1, workspace=workspace, folds=[0], ensembles=False)
    assert [path.relative_to(results / "ensembles") for path in results.glob("ensembles/*/*")] == [
        Path(f"{LEFT}+{FAINT}/notes.txt")
    ]
    assert (results / LEFT / "cross_validation.json").is_file()


def test_commands_name_the_workspace_they_would_not_find(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    best = find_best_configuration(1, workspace=workspace, configurations=["fganet", "linknet"], ensembles=True)
    for line in commands(best, workspace):
        if line.startswith("gw_predict"):
            assert line.endswith(f" --workspace {tmp_path}") or f" --workspace {tmp_path} --save_prob" in line
    monkeypatch.chdir(tmp_path.parent)
    beside = Workspace.find(tmp_path.name)
    assert [each.replace(f" --workspace {tmp_path}", "") for each in commands(best, beside)] == [
        each.replace(f" --workspace {tmp_path}", "") for each in commands(best, workspace)
    ]
    assert any(f"--workspace {tmp_path}" in line for line in commands(best, beside))
    monkeypatch.setenv("GWUNET_WORKSPACE", str(tmp_path))
    assert not any("--workspace" in line for line in commands(best, workspace))


def test_what_is_missing_or_of_other_weights_or_frames_is_predicted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(fold_of(workspace, LEFT, 1), epoch=99)  # trained anew since
    next((fold_of(workspace, LEFT, 3) / "validation").glob("*.npz")).unlink()
    made_by = MadeBy(  # frames exported anew since
        schema_version=1,
        checkpoint_sha256=digest_of(fold_of(workspace, LEFT, 2) / "checkpoint_final.pt"),
        frames_sha256="of other frames",
    )
    write_json(fold_of(workspace, LEFT, 2) / "validation" / "made_by.json", made_by)
    (fold_of(workspace, LEFT, 4) / "validation" / "made_by.json").unlink()
    predicted = []

    def progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
        del total, label
        return items

    def validate(
        folder: Path, loaded: Any, raw: Dataset, cases: tuple[str, ...], device: str, progress: Progress
    ) -> None:
        assert loaded[1] == digest_of(folder / "checkpoint_final.pt")
        predicted.append((folder.name, device, progress))
        for case in cases:
            write_probability(folder / "validation" / f"{case}.npz", raw.read_mask(raw.case(case)) * 0.9)

    monkeypatch.setattr(best_configuration, "validate_fold", validate)
    find_best_configuration(1, workspace=workspace, configurations=["fganet"], device="cpu", progress=progress)
    assert predicted == [(f"fold_{number}", "cpu", progress) for number in (1, 2, 3, 4)]
