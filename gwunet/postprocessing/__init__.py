"""From probabilities to a mask: threshold, hysteresis, small pieces, gaps."""

from gwunet.postprocessing.settings import Postprocessing

__all__ = ["Postprocessing"]
