"""Where each wire runs: centreline, ends and identity, from what the network says of every pixel."""

from gwunet.localization.guidewire import Flag, Guidewire, Point

__all__ = ["Flag", "Guidewire", "Point"]
