"""The three folders everything lives in: raw, preprocessed and results."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gwunet.errors import DatasetError, UsageError

_DATASET_NAME = re.compile(r"Dataset(\d+)_\w[\w.-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Where datasets, what is prepared from them, and what is trained on them are kept."""

    raw: Path
    """Datasets as their owners made them; gwunet adds to it only when asked to make a dataset."""
    preprocessed: Path
    """Fingerprints, plans, splits and cropped frames."""
    results: Path
    """Trained folds and their predictions."""

    @classmethod
    def find(cls, root: "Workspace | str | Path | None" = None) -> "Workspace":
        """The workspace at ``root``, or else where the environment says, or else ``./gwunet_workspace``.

        A workspace is given back as it is.

        ``$GWUNET_WORKSPACE`` moves the whole, ``$GWUNET_RAW``, ``$GWUNET_PREPROCESSED`` and ``$GWUNET_RESULTS`` one
        folder each. An explicit ``root`` wins over all four. The folders need not exist.
        """
        if isinstance(root, Workspace):
            return root
        variables: Mapping[str, str] = {} if root is not None else os.environ
        base = Path(root or variables.get("GWUNET_WORKSPACE") or "gwunet_workspace")

        def folder(name: str) -> Path:
            return Path(variables.get(f"GWUNET_{name.upper()}") or base / name).expanduser()

        return cls(raw=folder("raw"), preprocessed=folder("preprocessed"), results=folder("results"))

    def dataset_name(self, identifier: str | int) -> str:
        """The folder name of a dataset given by id (``501``, ``"501"``) or by name (``"Dataset501_TACE"``).

        A dataset is found in any of the three folders: prediction needs no raw data.

        Raises:
            DatasetError: there is none, or several have the id.
        """
        names = self._dataset_names()
        wanted = str(identifier)
        if wanted in names:
            return wanted
        matches = [name for name in names if wanted.isdecimal() and _dataset_id(name) == int(wanted)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DatasetError(
                f"dataset {wanted}: found {' and '.join(matches)}; wanted one dataset per id: "
                "give the folder name, or rename one of them"
            )
        raise DatasetError(
            f"dataset {wanted}: not found in {self.raw}, {self.preprocessed} or {self.results}; "
            f"these hold {', '.join(names) or 'no dataset'}. Name one of them by id or folder name, make "
            f"{self.raw / 'Dataset<id>_<name>'}, or point --workspace elsewhere"
        )

    def raw_dataset(self, identifier: str | int) -> Path:
        """Folder of an existing raw dataset.

        Raises:
            DatasetError: it does not exist, or exists in ``preprocessed`` or ``results`` only.
        """
        folder = self.raw / self.dataset_name(identifier)
        if not folder.is_dir():
            raise DatasetError(
                f"{folder}: found no such folder, only what was made from it; wanted the raw dataset: "
                "copy it back there"
            )
        return folder

    def new_raw_dataset(self, name: str) -> Path:
        """Folder for a raw dataset that is to be made; it may exist already.

        Raises:
            UsageError: the name is not of the form ``Dataset<id>_<name>``, or another dataset has its id.
        """
        if not _DATASET_NAME.fullmatch(name):
            raise UsageError(f"dataset name {name!r}: wanted the form Dataset<id>_<name>, such as Dataset501_TACE")
        for other in self._dataset_names():
            if other != name and _dataset_id(other) == _dataset_id(name):
                raise UsageError(f"dataset name {name!r}: {other} has the same id; choose another number")
        return self.raw / name

    def preprocessed_dataset(self, identifier: str | int) -> Path:
        """Folder of a dataset's fingerprint, plans and frames, which may not exist yet; raises as ``dataset_name``."""
        return self.preprocessed / self.dataset_name(identifier)

    def results_dataset(self, identifier: str | int) -> Path:
        """Folder of a dataset's trained models, which may not exist yet; raises as ``dataset_name``."""
        return self.results / self.dataset_name(identifier)

    def _dataset_names(self) -> list[str]:
        roots = (root for root in (self.raw, self.preprocessed, self.results) if root.is_dir())
        folders = (folder for root in roots for folder in root.iterdir())
        return sorted({folder.name for folder in folders if _DATASET_NAME.fullmatch(folder.name) and folder.is_dir()})


def _dataset_id(name: str) -> int:
    match = _DATASET_NAME.fullmatch(name)
    assert match is not None
    return int(match[1])
