"""The script that a file of tests is about, as a module."""

import importlib
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script(request: pytest.FixtureRequest) -> ModuleType:
    """``benchmarks/NAME.py`` for the tests in ``test_NAME.py``; its folder is among pytest's ``pythonpath``."""
    return importlib.import_module(request.path.stem.removeprefix("test_"))
