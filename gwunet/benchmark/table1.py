"""The cost columns of the FGA-Net paper's Table 1, to stand beside what is counted and measured here.

Reference: FGA-Net paper, Table 1 (512x512, 3 channels, batch 1, RTX 4090). Its GFLOPs are multiply-accumulates without
the deformable convolutions, see ``Cost.paper``. LinkNet is not in it: its time is from the LinkNet paper, section
III-B, its GPU from section II-D (512x512).
"""

import dataclasses

from gwunet.benchmark.candidates import Candidate, named_candidates

SIZE = (512, 512)
CHANNELS = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PaperRow:
    """What a paper says of a network."""

    name: str
    """As the paper writes it."""
    giga: float | None
    """10^9 multiply-accumulates in the paper's counting; None where it gives none."""
    ms: float
    """Milliseconds for a frame."""
    gpu: str


TABLE1: dict[str, PaperRow] = {
    "UNet": PaperRow(name="U-Net", giga=54.98, ms=4.06, gpu="RTX 4090"),
    "UNetPlusPlus": PaperRow(name="U-Net++", giga=139.61, ms=18.68, gpu="RTX 4090"),
    "AttentionUNet": PaperRow(name="Attention U-Net", giga=266.53, ms=17.42, gpu="RTX 4090"),
    "CENet": PaperRow(name="CE-Net", giga=35.60, ms=4.02, gpu="RTX 4090"),
    "DeepLabV3Plus": PaperRow(name="DeepLabV3+", giga=83.32, ms=21.64, gpu="RTX 4090"),
    "FGANetTable1": PaperRow(name="FGA-Net", giga=75.36, ms=17.18, gpu="RTX 4090"),
    "LinkNet": PaperRow(name="LinkNet", giga=None, ms=130.0, gpu="TITAN Xp"),
}
"""By the label of the candidate."""


def table1_candidates() -> list[Candidate]:
    """The networks of the table in its size and channels, in its order."""
    return named_candidates(list(TABLE1), size=SIZE, channels=CHANNELS)
