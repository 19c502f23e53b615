"""Names for patients, series and hospitals that lead back to nobody without the workspace's key."""

import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from gwunet.errors import OutputError
from gwunet.grouping import Origin
from gwunet.jsonio import as_utf8

KEY_NAME = "grouping.key"
_KEY_BYTES = 32
_DIGITS = 12
"""Hexadecimal digits of a name: 48 bits, so that a million patients share none but by a chance of 1 in 500."""
_OWNER_ONLY = 0o600
_HASH = f"[0-9a-f]{{{_DIGITS}}}"
_FRAME_NAME = re.compile(rf"(p{_HASH})_(s{_HASH})_i{_HASH}_f\d{{4,}}")
"""What ``convert_dicom`` calls a frame: patient, series, instance and number in the instance."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names made with one key: equal for equal identities, in every conversion into the workspace.

    A plain hash would not do: patient numbers are few enough to try them all.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of_workspace(cls, folder: Path) -> "Pseudonyms":
        """With the key in ``folder``, made at random the first time; only its owner can read the file.

        Raises:
            OutputError: the key cannot be made or read, or is damaged.
        """
        path = folder / KEY_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make_once(path)
            key = path.read_bytes()
            if path.stat().st_mode & 0o077:
                path.chmod(_OWNER_ONLY)
                logger.warning("%s: others could read the key of the patients' names; now only its owner can", path)
        except OSError as problem:
            raise OutputError(f"{path}: cannot be made or read ({problem}): check permissions") from problem
        if len(key) != _KEY_BYTES:
            raise OutputError(
                f"{path}: found {len(key)} bytes; wanted the {_KEY_BYTES} of a key: restore the file, or remove it and "
                "convert every dataset of the workspace again"
            )
        return cls(key)

    def name(self, *identity: str) -> str:
        """A name for an identity made of several parts, such as ``("patient", issuer, number)``."""
        # With lengths before the parts, ("ab", "c") and ("a", "bc") differ.
        message = b"".join(len(part).to_bytes(4, "big") + part for part in map(as_utf8, identity))
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:_DIGITS]


def origin_of_name(case: str) -> Origin | None:
    """Patient and sequence of a frame that ``gw_convert dicom`` named; None for any other name.

    The number counts in the instance, and a sequence may have several, so that the position is not known.
    """
    match = _FRAME_NAME.fullmatch(case)
    return Origin(patient=match[1], sequence=match[2]) if match else None


def _make_once(path: Path) -> None:
    """Make the key where there is none; at no time does an unfinished one have its name, nor is one replaced."""
    if path.exists():
        return
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # its owner's alone
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(partial)
        except FileExistsError:  # another command was faster
            pass
        except OSError:  # a file system without hard links; of two commands at once here, one key would be lost
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
