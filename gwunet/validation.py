"""The validation of a trained fold on the frames it never saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from gwunet.checkpoint import FINAL, load_checkpoint
from gwunet.dataset import Dataset
from gwunet.device import resolve_device
from gwunet.evaluation import score_frame, summarise, write_summary
from gwunet.inference.predictor import Predictor
from gwunet.io.frames import write_mask
from gwunet.world import ALONE, World

if TYPE_CHECKING:
    from gwunet.evaluation import Summary


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

    Several processes share the frames; the first one scores them all, the others return None.

    Writes ``validation/<case>.png`` and ``validation/summary.json`` (and ``.csv``) in the fold's folder.

    Raises:
        ModelError: the fold has no ``checkpoint_final.pt``.
    """
    own = str(resolve_device(device, world.local_rank if world.size > 1 else None))
    predictor = Predictor([load_checkpoint(folder / FINAL)], device=own)
    scores = []
    silent = not (show_progress and world.is_writer)
    for name in tqdm(world.share(cases), desc="validate", unit="frame", disable=silent):
        case = raw.case(name)
        result = predictor.predict_frame(raw.read_frame(case))
        write_mask(folder / "validation" / f"{name}.png", result.mask)
        scores.append(score_frame(name, raw.read_mask(case), result.mask, result.probability))
    scores = sorted(world.collect(scores), key=lambda score: cases.index(score.case))
    if not world.is_writer:
        return None
    groups = {name: (raw.case(name).patient, raw.case(name).sequence) for name in cases}
    summary = summarise(scores, groups)
    write_summary(folder / "validation" / "summary.json", summary)
    return summary
