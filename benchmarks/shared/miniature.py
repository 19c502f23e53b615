"""A dataset of a few small simulated frames, planned for a CPU: what is killed while it trains or predicts."""

from pathlib import Path

from gwunet.planning import plan_dataset
from gwunet.plans import Plans, Target
from gwunet.synthetic import synthesize_dataset
from gwunet.workspace import Workspace

DATASET = "Dataset901_Kills"
CPU = Target(device="cpu", memory_gb=4.0)


def make_planned(root: Path, size: int, *, preprocess: bool) -> Plans:
    """Make the workspace ``root``: ten square frames to train on, two to test, and FGA-Net's plan.

    Args:
        root: where.
        size: edge of the frames in pixels.
        preprocess: write the preprocessed frames too, to train on.
    """
    synthesize_dataset(root / "raw" / DATASET, patients=6, test_patients=1, sequences=1, frames=2, size=size, seed=3)
    workspace = Workspace.find(root)
    return plan_dataset(DATASET, workspace=workspace, configurations=["fganet"], target=CPU, preprocess=preprocess)
