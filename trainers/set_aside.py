"""Which training frames only say when to slow down: whole groups, never those a fold is validated on.

Reference: LinkNet paper, section II-D (two sequences); FGA-Net paper, section "Implementation details" (five).
"""

import hashlib
import logging
from collections.abc import Collection, Mapping

from gwunet.errors import TrainingError

logger = logging.getLogger(__name__)

GROUPS = 2
ENOUGH_GROUPS = 4
"""With fewer training groups a single one is set aside."""
SHARE_OF_ONLY_GROUP = 4
"""Of a single group the last frame in so many (the first where the wires are in the last), and at least one."""


def set_aside(
    groups: Mapping[str, str], seed: int, with_wire: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The cases to train on and those set aside; of those with wire some are always left to train on.

    Args:
        groups: the patient or sequence of each training case, in the order of the frames.
        seed: chooses the groups; the same one always the same groups.
        with_wire: the cases that show a wire.

    Raises:
        TrainingError: there is a single frame.
    """
    if len(groups) < 2:
        raise TrainingError(
            f"frames to set aside: found {len(groups)} training frames, wanted at least 2, one of them to stop or "
            "lower the learning rate by; add frames, or leave --patience out and a plateau schedule out of the plan"
        )
    names = sorted(set(groups.values()), key=lambda name: hashlib.blake2b(f"{seed} {name}".encode()).digest())
    if len(names) == 1:
        logger.warning(
            "all training frames are of %s, so a quarter of them is set aside to lower the learning rate or stop by; "
            "they resemble those trained on, and it will happen late",
            names[0],
        )
        cases = tuple(groups)
        aside = max(1, len(cases) // SHARE_OF_ONLY_GROUP)
        wire_is_last = bool(with_wire) and set(with_wire).isdisjoint(cases[:-aside])
        return (cases[aside:], cases[:aside]) if wire_is_last else (cases[:-aside], cases[-aside:])
    wired = {group for case, group in groups.items() if case in with_wire}
    spared = [name for name in names if name in wired][-1:]
    candidates = [name for name in names if name not in spared]
    chosen = set(candidates[: GROUPS if len(names) >= ENOUGH_GROUPS else 1])
    return (
        tuple(case for case, group in groups.items() if group not in chosen),
        tuple(case for case, group in groups.items() if group in chosen),
    )
