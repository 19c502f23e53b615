"""Prediction: sliding window, ``Predictor`` for arrays and streams, folders of frames, overlays."""

from gwunet.inference.folder import FolderResult, predict_folder
from gwunet.inference.overlay import draw_overlay
from gwunet.inference.prediction import Prediction
from gwunet.inference.predictor import Predictor
from gwunet.inference.streaming import Streamed

__all__ = ["FolderResult", "Prediction", "Predictor", "Streamed", "draw_overlay", "predict_folder"]
