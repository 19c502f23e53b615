"""An archive of somebody else as a trained model in the workspace."""

import shutil
import tempfile
from pathlib import Path

from gwunet.checkpoint import FINAL, save_checkpoint
from gwunet.errors import OutputError, UsageError
from gwunet.exporting.archive import read_archive
from gwunet.jsonio import write_json
from gwunet.plans import Plans
from gwunet.postprocessing.shipped import FILE_NAME as POSTPROCESSING
from gwunet.postprocessing.shipped import ShippedPostprocessing, write_shipped
from gwunet.prepared import PLANS
from gwunet.trained import fold_folder, model_name
from gwunet.workspace import Workspace


def import_model(path: Path, *, workspace: Workspace | str | Path | None = None, name: str | None = None) -> Path:
    """Install an archive of ``gw_export --format zip`` under ``results/``, where ``gw_predict -d`` finds it.

    Args:
        path: the archive; see ``gwunet.exporting.archive`` for what is checked.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        name: of the dataset, ``Dataset<id>_<name>``; None takes the archive's.

    Returns:
        The folder of the model: whole, or not there.

    Raises:
        ModelError: the archive is missing, damaged, or not what gw_export writes.
        UsageError: the dataset's name is unfit or its id taken, or the model stands there already.
        OutputError: it cannot be written.
    """
    workspace = Workspace.find(workspace)
    if not path.is_file():
        raise UsageError(f"{path}: no such file; wanted an archive that gw_export --format zip wrote")
    description, checkpoints = read_archive(path)
    try:
        dataset = workspace.new_raw_dataset(name or description.dataset).name
    except UsageError as problem:
        raise UsageError(f"{path}: {problem}, with --name") from problem
    configuration = description.configuration
    folder = workspace.results / dataset / model_name(configuration.name, description.trainer)
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            f"{folder}: found a model there already, which is never overwritten; move it away, or import under another "
            "dataset's name with --name"
        )
    plans = Plans(
        schema_version=1,
        dataset=dataset,
        preprocessing=description.preprocessing,
        configurations={configuration.name: configuration},
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        try:
            write_json(partial / PLANS, plans)
            # What the frames were is the exporter's own; the file says only that there is one channel and a wire.
            write_json(
                partial / "dataset.json", {"channel_names": {"0": "X-ray"}, "labels": {"background": 0, "wire": 1}}
            )
            if description.postprocessing is not None:
                shipped = ShippedPostprocessing(
                    schema_version=1,
                    settings=description.postprocessing,
                    dataset=description.dataset,
                    models=(folder.name,),
                    n_frames=None,
                    checkpoints={},
                )
                write_shipped(partial / POSTPROCESSING, shipped)
            for fold, checkpoint in zip(description.folds, checkpoints, strict=True):
                save_checkpoint(fold_folder(partial, fold) / FINAL, checkpoint)
            partial.chmod(folder.parent.stat().st_mode & 0o777)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as problem:
        raise OutputError(
            f"{folder}: cannot be written ({problem}): check free space and permissions, or choose another --workspace"
        ) from problem
    return folder
