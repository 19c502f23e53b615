"""Which training frames only say when to slow down: whole groups, never those a fold is validated on.

Reference: LinkNet paper, section II-D (two sequences); FGA-Net paper, section "Implementation details" (five).
"""

import hashlib
import logging
from collections.abc import Mapping

from gwunet.errors import TrainingError

logger = logging.getLogger(__name__)

GROUPS = 2
ENOUGH_GROUPS = 4
"""With fewer training groups a single one is set aside."""
SHARE_OF_ONLY_GROUP = 4
"""Of a single group the last frame in so many, and at least one."""


def set_aside(groups: Mapping[str, str], seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The cases to train on and those set aside.

    Args:
        groups: the patient or sequence of each training case, in the order of the frames.
        seed: chooses the groups; the same one always the same groups.

    Raises:
        TrainingError: there is a single frame.
    """
    if len(groups) < 2:
        raise TrainingError(
            f"the plateau schedule: found {len(groups)} training frames, wanted at least 2, one of them to set aside; "
            "add frames, or set the plan's schedule to constant"
        )
    names = sorted(set(groups.values()), key=lambda name: hashlib.blake2b(f"{seed} {name}".encode()).digest())
    if len(names) == 1:
        logger.warning(
            "all training frames are of %s, so the last quarter of them is set aside to lower the learning rate by; "
            "they resemble those trained on, and the learning rate will fall late",
            names[0],
        )
        cases = tuple(groups)
        kept = len(cases) - max(1, len(cases) // SHARE_OF_ONLY_GROUP)
        return cases[:kept], cases[kept:]
    chosen = set(names[: GROUPS if len(names) >= ENOUGH_GROUPS else 1])
    return (
        tuple(case for case, group in groups.items() if group not in chosen),
        tuple(case for case, group in groups.items() if group in chosen),
    )
