"""Prediction: sliding window, ``Predictor`` for arrays, folders of frames, overlays."""

from gwunet.inference.folder import FolderResult, predict_folder
from gwunet.inference.overlay import draw_overlay
from gwunet.inference.predictor import Prediction, Predictor

__all__ = ["FolderResult", "Prediction", "Predictor", "draw_overlay", "predict_folder"]
