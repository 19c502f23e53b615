"""A trained model as one file, for other machines and runtimes: ONNX, or an archive of tensors and JSON."""

from gwunet.exporting.export import Exported, export_model
from gwunet.exporting.installation import import_model
from gwunet.exporting.loading import load_exported

__all__ = ["Exported", "export_model", "import_model", "load_exported"]
