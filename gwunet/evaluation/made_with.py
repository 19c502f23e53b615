"""Which prediction scores are of: a folder of masks is predicted anew under its old name, and old scores stay in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from gwunet.errors import SchemaError
from gwunet.io.record_files import records
from gwunet.jsonio import parse_json

OF_MASKS = (
    "model",
    "runtime",
    "source",
    "sources",
    "probabilities_sha256",
    "settings",
    "finished_before_with",
    "failed",
)
OPTIONS_OF_MASKS = ("mirror", "step", "threshold")
"""What masks depend on in the records of ``gw_predict`` and ``gw_ensemble``. Not their times, for instance: masks that
``--continue`` leaves alone keep their scores."""


def made_with(prediction: Path) -> str | None:
    """SHA-256 of what the records beside masks say of how they were made; None where there is no record."""
    known = [each for each in map(_of_record, records(prediction)) if each is not None]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest() if known else None


def _of_record(path: Path) -> dict[str, Any] | None:
    try:
        record = parse_json(path)
    except SchemaError:  # is told where a record is needed
        return None
    if not isinstance(record, dict) or "gwunet" not in record:
        return None
    counts = [record.get(key) for key in ("n_frames", "n_finished_before")]
    options = record.get("options")
    return {
        **{key: record[key] for key in OF_MASKS if key in record},
        "options": [options.get(key) for key in OPTIONS_OF_MASKS] if isinstance(options, dict) else None,
        "masks": sum(count for count in counts if isinstance(count, int)),
    }
