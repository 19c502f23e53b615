"""Where each wire runs: centreline, ends and identity, from what the network says of every pixel."""

from gwunet.localization.guidewire import Flag, Guidewire, Point
from gwunet.localization.locating import locate_guidewires
from gwunet.localization.tracking import Tracker

__all__ = ["Flag", "Guidewire", "Point", "Tracker", "locate_guidewires"]
