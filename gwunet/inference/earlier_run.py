"""What the commands before left in a folder of masks, as their records say."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from gwunet.errors import SchemaError
from gwunet.inference.run_record import RunOptions, RunRecord, differences, read_record
from gwunet.io.record_files import ENSEMBLE, run_records

logger = logging.getLogger(__name__)

OF_AVERAGE = "masks of gw_ensemble (now gw_predict)"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRun:
    """What of them matters to the command that works on the folder now."""

    differs_in: tuple[str, ...] = ()
    """In words, how finished masks were made otherwise."""
    draws_anew: bool = False
    """Whether overlays of finished frames do not show what this command's would."""
    video_sha256: str | None = None
    """Of the video that was written last."""


def earlier_run(
    output: Path, model: dict[str, Any], options: RunOptions, runtime: str, *, skip_finished: bool
) -> EarlierRun:
    """What the records in a folder of masks say; differences are warned of.

    Any of them may be of masks that are there, also where this command's own is among them: it replaces that one alone.

    Args:
        output: the folder.
        model: what the model is called by now.
        options: the ones now.
        runtime: the one now.
        skip_finished: whether finished masks stay; where they do not, nothing differs.
    """
    earlier = _readable(output, is_told=skip_finished)
    # Whole commands alone write videos, and their record comes first.
    video_sha256 = next((record.video_sha256 for record in earlier if record.video_sha256), None)
    if not skip_finished:
        return EarlierRun(video_sha256=video_sha256)
    has_average = (output / ENSEMBLE).exists()
    found = [each for record in earlier for each in differences(record, model, options, runtime)]
    different = tuple(dict.fromkeys([*found, *([OF_AVERAGE] if has_average else [])]))
    if different:
        logger.warning(
            "%s: frames finished before were made with other options, and their masks stay as they are: %s; "
            "without --continue all are made anew",
            output,
            ", ".join(different),
        )
    drawn = {(record.options.overlay, record.options.wires, record.options.track) for record in earlier}
    return EarlierRun(
        differs_in=different,
        draws_anew=_overlays_differ(drawn, has_average, options, output),
        video_sha256=video_sha256,
    )


def _readable(output: Path, *, is_told: bool) -> list[RunRecord]:
    """The records of ``gw_predict`` but for those that cannot be read, of which it is told."""
    found = []
    for path in run_records(output):
        try:
            found.append(read_record(path))
        except SchemaError as problem:
            if is_told:
                logger.warning("it cannot be seen what made the masks that are there already: %s", problem)
    return found


def _overlays_differ(drawn: set[tuple[Any, ...]], has_average: bool, now: RunOptions, output: Path) -> bool:
    """An overlay shows the wires as its command found them.

    Args:
        drawn: of each earlier command: whether it had overlays, how many wires were looked for, whether it tracked.
        has_average: whether ``gw_ensemble`` was there too.
        now: the options of this command.
        output: for messages.
    """
    others = drawn - {(True, now.wires, now.track)}
    if any(overlay for overlay, *_ in others) and not now.overlay:
        logger.warning(
            "%s: overlays of finished frames stay, with the wires that the run before found; --overlay draws them anew",
            output,
        )
    return bool(others) or has_average
