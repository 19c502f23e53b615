"""The packages of the extra ``export``, which most of gwunet does without."""

import importlib
from typing import Any

from gwunet.errors import UsageError


def load(package: str) -> Any:
    """The module ``onnx``, ``onnxruntime`` or one inside of them.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as problem:
        raise UsageError(
            f"{package}: cannot be imported ({problem}); ONNX needs the extra export: pip install 'gwunet[export]'"
        ) from problem
