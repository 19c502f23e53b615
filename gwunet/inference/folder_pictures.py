"""Pictures of the finished frames of a folder, with their masks and wires: as files, or one after another."""

import logging
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.exposed_field import Frame
from gwunet.inference.annotated_video import Picture
from gwunet.inference.folder_wires import FolderWires
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.sources import Run
from gwunet.inference.wire_overlay import draw_with_wires
from gwunet.io.frames import read_mask

logger = logging.getLogger(__name__)


class FolderPictures:
    """Draws frames that have a mask; each is read again, so that memory does not grow with their number."""

    def __init__(self, runs: Sequence[Run], writer: FrameWriter, wires: FolderWires) -> None:
        self._runs = runs
        self._writer = writer
        self._wires = wires

    def drawn(self) -> Iterator[Picture]:
        """All of them."""
        for name, frame, mask in self._finished(None, "not in the video"):
            yield draw_with_wires(frame, mask, self._wires.of(name))

    def write(self, names: Collection[str] | None = None) -> Iterator[str]:
        """Write overlays, of all frames or those of these names; gives the name of each when it is written.

        Raises:
            OutputError: one cannot be written.
        """
        for name, frame, mask in self._finished(names, "without an overlay"):
            self._writer.write_overlay(name, frame, mask, self._wires.of(name))
            yield name

    def _finished(
        self, names: Collection[str] | None, otherwise: str
    ) -> Iterator[tuple[str, Frame, NDArray[np.uint8]]]:
        for item in (item for run in self._runs for item in run.frames()):
            if (names is not None and item.name not in names) or not self._writer.is_finished(item.name):
                continue
            try:
                frame, mask = item.read(), read_mask(self._writer.mask_path(item.name))
            except FrameError as problem:
                logger.warning("%s: %s", otherwise, problem)
                continue
            if mask.shape == frame.shape:
                yield item.name, frame, mask
            else:
                logger.warning("%s: %s: its mask has another size; predict it again", otherwise, item.name)
