"""The validation of a trained fold on the frames it never saw."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tqdm import tqdm

from gwunet.checkpoint import FINAL, Checkpoint, load_with_digest
from gwunet.dataset import Dataset
from gwunet.device import resolve_device
from gwunet.errors import SchemaError, SplitError
from gwunet.evaluation import score_frame, summarise, write_summary
from gwunet.evaluation.wire_sources import read_known_wires
from gwunet.inference.predictor import Predictor
from gwunet.io.frames import write_mask
from gwunet.io.probability import write_probability
from gwunet.jsonio import read_json, write_json
from gwunet.world import ALONE, World

if TYPE_CHECKING:
    from gwunet.evaluation import Summary

FOLDER = "validation"
RECORD = "made_by.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MadeBy:
    """Which weights the predictions in ``validation/`` are of; written after the last of them."""

    schema_version: Literal[1]
    checkpoint_sha256: str


def validate_fold(
    folder: Path,
    raw: Dataset,
    cases: Sequence[str],
    *,
    device: str = "auto",
    world: World = ALONE,
    show_progress: bool = True,
) -> "Summary | None":
    """Predict a fold's validation frames as ``gw_predict`` would, and score them.

    Several processes share the frames; the first one scores them all, the others return None. The caller keeps other
    commands out of the folder (``gwunet.data.lock``), and knows that the weights have not seen the frames
    (``check_unseen``).

    Writes ``validation/<case>.png`` and ``.npz`` (probabilities in steps of 1/255, for cross-validation: some 10 KB for
    a frame that the network would take a second for), and ``validation/summary.json`` (and ``.csv``) in the fold's
    folder.

    Raises:
        ModelError: the fold has no ``checkpoint_final.pt``.
    """
    own = str(resolve_device(device, world.local_rank if world.size > 1 else None))
    checkpoint, digest = load_with_digest(folder / FINAL)
    predictor = Predictor([checkpoint], device=own)
    if world.is_writer:
        forget_validation(folder)
    known = read_known_wires(raw.folder / "labelsTr")
    scores = []
    silent = not (show_progress and world.is_writer)
    for name in tqdm(world.share(cases), desc="validate", unit="frame", disable=silent):
        case = raw.case(name)
        result = predictor.predict_frame(raw.read_frame(case))
        write_probability(folder / FOLDER / f"{name}.npz", result.probability)
        write_mask(folder / FOLDER / f"{name}.png", result.mask)
        tips = known[name].tips if name in known else ()
        scores.append(score_frame(name, raw.read_mask(case), result.mask, result.probability, tips))
    scores = sorted(world.collect(scores), key=lambda score: cases.index(score.case))
    if not world.is_writer:
        return None
    groups = {name: (raw.case(name).patient, raw.case(name).sequence) for name in cases}
    summary = summarise(scores, groups)
    write_summary(folder / FOLDER / "summary.json", summary)
    made_by = MadeBy(schema_version=1, checkpoint_sha256=digest)
    write_json(folder / FOLDER / RECORD, made_by)
    return summary


def forget_validation(folder: Path) -> None:
    """Take away what says of which weights a fold's validation is, and its figures: it is about to become another."""
    for name in (RECORD, "summary.json", "summary.csv"):
        (folder / FOLDER / name).unlink(missing_ok=True)


def check_unseen(checkpoint: Checkpoint, cases: Sequence[str]) -> bool:
    """That weights were trained on none of the frames they are to be judged on; False where they do not say on which.

    Raises:
        SplitError: they were.
    """
    if checkpoint.cases is None:
        return False
    seen = sorted(set(checkpoint.cases) & set(cases))
    if seen:
        raise SplitError(
            f"{checkpoint.where}: found that it was trained on {len(seen)} of the frames it would be judged on "
            f"({', '.join(seen[:3])}{', ...' if len(seen) > 3 else ''}); wanted none: the folds were made anew "
            "since, or it started from weights that knew them. Train the fold again, or bring its splits.json back"
        )
    return True


def is_validated(folder: Path, cases: Sequence[str], digest: str) -> bool:
    """Whether the probabilities of all ``cases`` are there, and of the checkpoint with this SHA-256."""
    try:
        made_by = read_json(MadeBy, folder / FOLDER / RECORD)
    except SchemaError:  # of before probabilities were kept, or of a validation that was broken off
        return False
    there = all((folder / FOLDER / f"{name}.npz").is_file() for name in cases)
    return there and made_by.checkpoint_sha256 == digest
