"""Whether what was found is of what the folds and the masks are now."""

from collections.abc import Mapping
from typing import Any

from gwunet.errors import GwunetError, few
from gwunet.postprocessing.shipped import fold_key
from gwunet.report.material import Material
from gwunet.validation import masks_digest


def says_of_what(found: Mapping[str, Any]) -> bool:
    """Whether a file of ``gw_find_best_configuration`` says which weights it is of; earlier versions' do not."""
    return isinstance(found.get("checkpoints"), dict)


def outdated(found: Mapping[str, Any], material: Material) -> str | None:
    """Why such a file is not of today's folds and masks; None where it is, or nothing of that is known."""
    if not says_of_what(found):
        return None
    now = {fold_key(fold.folder): fold.checkpoint_sha256 for model in material.models for fold in model.folds}
    others = [name for name, digest in found["checkpoints"].items() if name in now and now[name] != digest]
    if others:
        return f"other weights since in {few(others)}"
    if _masks_changed(found, material):
        return "other masks or folds since"
    return None


def _masks_changed(found: Mapping[str, Any], material: Material) -> bool:
    judged: str | None = found.get("masks_sha256")
    folds = found.get("folds")
    if material.raw is None or material.validation is None or judged is None or not isinstance(folds, list):
        return False
    cases = [case for fold in folds for case in material.validation.get(str(fold), ())]
    try:
        return masks_digest(material.raw, cases) != judged
    except GwunetError:  # frames of these names are there no more
        return True
