"""What the command before left in a folder of masks, as its ``run.json`` says."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from gwunet.errors import SchemaError
from gwunet.inference.run_record import RunOptions, differences, earlier_record

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRun:
    """What of it matters to the command that works on the folder now."""

    differs_in: tuple[str, ...] = ()
    """In words, how finished masks were made otherwise."""
    draws_anew: bool = False
    """Whether overlays of finished frames do not show what this command's would."""
    video_sha256: str | None = None
    """Of the video that was written last."""


def earlier_run(
    path: Path, model: dict[str, Any], options: RunOptions, runtime: str, *, skip_finished: bool
) -> EarlierRun:
    """What the record at ``path``, or else of another command on the same folder, says; differences are warned of.

    Args:
        path: of the record that is about to be written.
        model: what the model is called by now.
        options: the ones now.
        runtime: the one now.
        skip_finished: whether finished masks stay; where they do not, nothing differs.
    """
    try:
        earlier = earlier_record(path)
    except SchemaError as problem:
        if skip_finished:
            logger.warning("it cannot be seen what made the masks that are there already: %s", problem)
        return EarlierRun()
    if earlier is None:
        return EarlierRun()
    if not skip_finished:
        return EarlierRun(video_sha256=earlier.video_sha256)
    different = differences(earlier, model, options, runtime)
    if different:
        logger.warning(
            "%s: frames finished before were made with other options, and their masks stay as they are: %s; "
            "without --continue all are made anew",
            path.parent,
            ", ".join(different),
        )
    return EarlierRun(
        differs_in=different,
        draws_anew=_overlays_differ(earlier.options, options, path.parent),
        video_sha256=earlier.video_sha256,
    )


def _overlays_differ(earlier: RunOptions, now: RunOptions, output: Path) -> bool:
    """An overlay shows the wires as its command found them."""
    if (earlier.overlay, earlier.wires, earlier.track) == (True, now.wires, now.track):
        return False
    if earlier.overlay and not now.overlay:
        logger.warning(
            "%s: overlays of finished frames stay, with the wires that the run before found; --overlay draws them anew",
            output,
        )
    return True
