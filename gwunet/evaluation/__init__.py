"""How good a prediction is: scores of frames, of sequences, of patients and of all frames."""

from gwunet.evaluation.folder import evaluate_folder, write_summary
from gwunet.evaluation.metrics import METRICS, FrameScore, Scores, score_frame
from gwunet.evaluation.summary import Summary, summarise

__all__ = [
    "METRICS",
    "FrameScore",
    "Scores",
    "Summary",
    "evaluate_folder",
    "score_frame",
    "summarise",
    "write_summary",
]
