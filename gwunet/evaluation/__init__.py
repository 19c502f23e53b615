"""How good a prediction is: scores of frames, of sequences, of patients and of all frames."""

from gwunet.evaluation.comparison import Comparison, compare
from gwunet.evaluation.folder import evaluate_folder
from gwunet.evaluation.localization import Localization, score_localization
from gwunet.evaluation.metrics import METRICS, FrameScore, Scores, score_frame
from gwunet.evaluation.summary import Summary, summarise
from gwunet.evaluation.tables import write_summary
from gwunet.evaluation.wires import PlainWire, WireScore, score_wires

__all__ = [
    "METRICS",
    "Comparison",
    "FrameScore",
    "Localization",
    "PlainWire",
    "Scores",
    "Summary",
    "WireScore",
    "compare",
    "evaluate_folder",
    "score_frame",
    "score_localization",
    "score_wires",
    "summarise",
    "write_summary",
]
