"""Why a network marks what it marks, and where it errs: Grad-CAM++ maps and marked comparison panels."""

from gwunet.explaining.explain import Explained, explain_dataset

__all__ = ["Explained", "explain_dataset"]
