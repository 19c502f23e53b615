"""What ``gw_explain`` does: chosen validation frames through trained models, and pictures of what comes out."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gwunet.checkpoint import FINAL, Checkpoint, load_checkpoint
from gwunet.dataset import Dataset
from gwunet.device import resolve_device
from gwunet.errors import ModelError, UsageError
from gwunet.explaining.errors import find_errors
from gwunet.explaining.grad_cam import explain_wire, usual_layer
from gwunet.explaining.panels import Row, Seen, draw_comparison, draw_grad_cam
from gwunet.exposed_field import Box, Frame
from gwunet.inference.torch_networks import network_of
from gwunet.inference.trained_folds import find_model
from gwunet.io.frames import read_mask
from gwunet.jsonio import parse_json, write_json
from gwunet.preprocessing import crop_frame, normalise, put_back
from gwunet.progress import Progress, no_progress
from gwunet.trained import SUMMARY, fold_folder, parts_of, trained_models, validation_folder
from gwunet.validation import check_unseen
from gwunet.workspace import Workspace

FRAMES = 4
"""So many are shown where none is named."""
Mask = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """What was written."""

    grad_cam: Path
    comparison: Path
    errors: Path
    """The marks as JSON."""
    layers: dict[str, str]
    """Model -> the layer its maps are of."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """A trained fold."""

    title: str
    predictions: Path
    """Folder of its validation masks."""
    cases: frozenset[str]
    """The frames it was validated on."""
    checkpoint: Checkpoint
    network: nn.Module


def explain_dataset(
    dataset: str | int,
    output: Path | None = None,
    *,
    workspace: Workspace | str | Path | None = None,
    configurations: Sequence[str] | None = None,
    trainer: str | None = None,
    fold: int | str = 0,
    cases: Sequence[str] | None = None,
    n_frames: int = FRAMES,
    layer: str | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Explained:
    """Draw Grad-CAM++ maps and marked errors of validation frames, for one model or several side by side.

    Args:
        dataset: id or folder name.
        output: folder for ``grad_cam.png``, ``comparison.png`` and ``errors.json``; None is ``explained_fold_<k>``
            among the dataset's results.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        configurations: None takes all of which the fold is validated.
        trainer: None where only one trainer was used with each configuration.
        fold: whose validation frames are shown, which its weights have never seen.
        cases: None takes ``n_frames`` frames with wire, from the first model's worst to its best.
        n_frames: see ``cases``.
        layer: name of a network's module; None takes the last one at a quarter of the frame's size.
        device: where the networks run.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        ModelError: the fold of a configuration is not trained and validated.
        SplitError: the folds were made anew since, and its weights were trained on frames that it was validated on.
        UsageError: a case is no validation frame of the fold, has no wire, or the layer is unknown.
    """
    if n_frames < 1:
        raise UsageError(f"-n {n_frames}: must be at least 1")
    workspace = Workspace.find(workspace)
    name = workspace.dataset_name(dataset)
    raw = Dataset.open(workspace.raw_dataset(name))
    torch_device = resolve_device(device)
    models = _models(workspace, name, configurations, trainer, fold, torch_device)
    chosen = _chosen(raw, models, cases, n_frames)
    layers = {model.title: layer or _usual_layer(raw, chosen[0], model, torch_device) for model in models}
    rows = [_row(raw, case, models, layers, torch_device) for case in progress(chosen, len(chosen), "explain")]
    output = output or workspace.results_dataset(name) / f"explained_fold_{fold}"
    written = Explained(
        grad_cam=output / "grad_cam.png",
        comparison=output / "comparison.png",
        errors=output / "errors.json",
        layers=layers,
    )
    titles = [model.title for model in models]
    draw_grad_cam(written.grad_cam, rows, titles)
    draw_comparison(written.comparison, rows, titles)
    write_json(written.errors, _described(rows, titles, layers))
    return written


def _models(
    workspace: Workspace,
    dataset: str,
    configurations: Sequence[str] | None,
    trainer: str | None,
    fold: int | str,
    device: torch.device,
) -> list[_Model]:
    results = workspace.results_dataset(dataset)
    validated = [model for model in trained_models(results) if _summary(fold_folder(model, fold)).is_file()]
    present = sorted({name for name, of in (parts_of(model.name) for model in validated) if trainer in (None, of)})
    wanted = list(configurations) if configurations is not None else present
    if not wanted:
        raise ModelError(f"{results}: found no validated fold {fold}; run gw_train {dataset} {fold} first")
    return [_model(fold_folder(find_model(workspace, dataset, name, trainer), fold), device) for name in wanted]


def _summary(folder: Path) -> Path:
    """What the fold's validation leaves."""
    return validation_folder(folder) / SUMMARY


def _model(folder: Path, device: torch.device) -> _Model:
    if not _summary(folder).is_file():
        raise ModelError(
            f"{folder}: found no validation; wanted a trained and validated fold: run gw_train, or choose -f"
        )
    checkpoint = load_checkpoint(folder / FINAL)
    cases = _validated(_summary(folder))
    check_unseen(checkpoint, sorted(cases))
    return _Model(
        title=_title(checkpoint),
        predictions=validation_folder(folder),
        cases=cases,
        checkpoint=checkpoint,
        network=network_of(checkpoint).eval().requires_grad_(False).to(device),
    )


def _validated(summary: Path) -> frozenset[str]:
    """Masks alone do not tell: some may be left from folds that were made anew since."""
    content = parse_json(summary)
    rows = content.get("frames") if isinstance(content, dict) else None
    return frozenset(row["case"] for row in rows or () if isinstance(row, dict) and isinstance(row.get("case"), str))


def _title(checkpoint: Checkpoint) -> str:
    """The configuration, and of an FGA-Net whether it has its gates."""
    network = checkpoint.configuration.network
    gates = "" if network.name != "FGANet" else ", SDA" if network.arguments.get("use_sda", True) else ", no SDA"
    return f"{checkpoint.configuration.name}{gates}"


def _chosen(raw: Dataset, models: Sequence[_Model], cases: Sequence[str] | None, n_frames: int) -> list[str]:
    """Validation frames of all models that have a wire; named ones, or some from worst to best."""
    common = frozenset(case.name for case in raw.training).intersection(*(model.cases for model in models))
    if cases is not None:
        unknown = [name for name in cases if name not in common]
        if unknown:
            raise UsageError(
                f"--cases {unknown[0]}: no validation frame of the fold; there are {len(common)}, such as "
                f"{', '.join(sorted(common)[:3])}"
            )
        bare = [name for name in cases if not (raw.read_mask(raw.case(name)) == 1).any()]
        if bare:
            raise UsageError(f"--cases {bare[0]}: has no wire to explain; name frames with one")
        return list(cases)
    scored = []
    for name in sorted(common):
        reference = raw.read_mask(raw.case(name))
        if (reference == 1).any():
            scored.append((_dice(reference, read_mask(models[0].predictions / f"{name}.png")), name))
    if not scored:
        raise UsageError("the fold has no validation frame with a wire to explain; choose another with -f")
    scored.sort()
    places = np.linspace(0, len(scored) - 1, min(n_frames, len(scored))).round().astype(int)
    return [scored[place][1] for place in places]


def _dice(reference: Mask, prediction: Mask) -> float:
    """Of a frame with wire in the reference."""
    wire, predicted = reference == 1, (prediction == 1) & (reference != 2)
    return float(2 * (wire & predicted).sum() / (wire.sum() + predicted.sum()))


def _row(raw: Dataset, case: str, models: Sequence[_Model], layers: dict[str, str], device: torch.device) -> Row:
    frame, reference = raw.read_pair(raw.case(case))
    return Row(
        case=case,
        frame=frame,
        reference=reference,
        seen=tuple(_seen(case, frame, reference, model, layers[model.title], device) for model in models),
    )


def _seen(case: str, frame: Frame, reference: Mask, model: _Model, layer: str, device: torch.device) -> Seen:
    prediction = read_mask(model.predictions / f"{case}.png")
    tile, box = _tile(frame, reference, model)
    wire = torch.from_numpy(reference[box.slices] == 1)
    if wire.any():
        heat = explain_wire(model.network, layer, tile.to(device), wire.to(device))
    else:  # annotated outside the exposed field alone
        heat = np.zeros(wire.shape, np.float32)
    return Seen(
        prediction=prediction,
        marks=tuple(find_errors(reference, prediction)),
        heat=put_back(heat, box, (frame.shape[0], frame.shape[1])),
        dice=_dice(reference, prediction),
    )


def _tile(frame: Frame, reference: Mask, model: _Model) -> tuple[torch.Tensor, Box]:
    """What the network is shown, ``(1, 1, h, w)``, and where it lies in the frame.

    The exposed field, or where that is larger than a tile of prediction, a tile with the middle of the wire in it.
    """
    crop = crop_frame(frame, model.checkpoint.preprocessing)
    scores = normalise(crop.pixels, crop.field, crop.mean, crop.std)
    wire = np.argwhere(reference[crop.box.slices] == 1)
    middle = wire.mean(axis=0) if len(wire) else np.array(scores.shape) / 2
    starts = []
    for axis, edge in enumerate(model.checkpoint.configuration.inference.tile_size):
        last = max(0, scores.shape[axis] - edge)
        starts.append((min(max(0, round(float(middle[axis]) - edge / 2)), last), edge))
    (top, height), (left, width) = starts
    part = np.ascontiguousarray(scores[top : top + height, left : left + width])
    box = Box(
        top=crop.box.top + top,
        bottom=crop.box.top + top + part.shape[0],
        left=crop.box.left + left,
        right=crop.box.left + left + part.shape[1],
    )
    return torch.from_numpy(part)[None, None], box


def _usual_layer(raw: Dataset, case: str, model: _Model, device: torch.device) -> str:
    tile, _ = _tile(*raw.read_pair(raw.case(case)), model)
    return usual_layer(model.network, tile.to(device))


def _described(rows: Sequence[Row], titles: Sequence[str], layers: dict[str, str]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "layers": layers,
        "frames": [
            {
                "case": row.case,
                "models": {
                    title: {"dice": seen.dice, "marks": seen.marks}
                    for title, seen in zip(titles, row.seen, strict=True)
                },
            }
            for row in rows
        ],
    }
