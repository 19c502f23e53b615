"""Frames that stay unpacked in memory: unpacking is most of what a small patch costs."""

import torch.utils.data

from gwunet.data.store import PreprocessedStore, StoredFrame

KEPT_BYTES = 256 * 2**20
"""Of all processes that make batches together: 512 frames of 512 x 512 with 8 bits, little beside a training step."""


class KeptFrames:
    """A store whose frames are kept once read, first come, first kept, until they fill a number of bytes.

    Every case comes once before any comes twice, so of more frames than fit the one used last is needed last: dropping
    the oldest for the newest would keep nothing until it is asked for again.
    """

    def __init__(self, store: PreprocessedStore, limit_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._limit_bytes = limit_bytes
        self._kept: dict[str, StoredFrame] = {}
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """Memory that the kept frames take."""
        return self._bytes

    def frame(self, case: str) -> StoredFrame:
        """A case as ``PreprocessedStore.frame`` gives it; not to be written to."""
        kept = self._kept.get(case)
        if kept is not None:
            return kept
        frame = self._store.frame(case)
        size = frame.pixels.nbytes + frame.labels.nbytes
        worker = torch.utils.data.get_worker_info()
        if self._bytes + size <= self._limit_bytes // (worker.num_workers if worker else 1):
            frame.pixels.flags.writeable = frame.labels.flags.writeable = False
            self._kept[case] = frame
            self._bytes += size
        return frame
