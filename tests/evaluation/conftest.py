"""scikit-learn, which takes longer to import than all the rest: only where a test needs it, not in every worker."""

import importlib
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def sklearn_metrics() -> ModuleType:
    return importlib.import_module("sklearn.metrics")


@pytest.fixture(scope="session")
def sklearn_calibration() -> ModuleType:
    return importlib.import_module("sklearn.calibration")
