"""The validation of a trained fold on the frames it never saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from gwunet.checkpoint import FINAL, load_checkpoint
from gwunet.dataset import Dataset
from gwunet.evaluation import score_frame, summarise, write_summary
from gwunet.inference.predictor import Predictor
from gwunet.io.frames import write_mask

if TYPE_CHECKING:
    from gwunet.evaluation import Summary


def validate_fold(
    folder: Path, raw: Dataset, cases: Sequence[str], *, device: str = "auto", show_progress: bool = True
) -> "Summary":
    """Predict a fold's validation frames as ``gw_predict`` would, and score them.

    Writes ``validation/<case>.png`` and ``validation/summary.json`` (and ``.csv``) in the fold's folder.

    Raises:
        ModelError: the fold has no ``checkpoint_final.pt``.
    """
    predictor = Predictor([load_checkpoint(folder / FINAL)], device=device)
    scores = []
    for name in tqdm(cases, desc="validate", unit="frame", disable=not show_progress):
        case = raw.case(name)
        result = predictor.predict_frame(raw.read_frame(case))
        write_mask(folder / "validation" / f"{name}.png", result.mask)
        scores.append(score_frame(name, raw.read_mask(case), result.mask, result.probability))
    groups = {name: (raw.case(name).patient, raw.case(name).sequence) for name in cases}
    summary = summarise(scores, groups)
    write_summary(folder / "validation" / "summary.json", summary)
    return summary
