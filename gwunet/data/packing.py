"""Frames and labels without loss in few bytes: differences along rows, then deflate.

Noise is most of an X-ray frame. The difference of a pixel to the one on its left leaves little but the noise, and an
entropy coder does the rest; image formats gain a few percent and take several times as long
(``benchmarks/packing.py``).
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

RAW = -zlib.MAX_WBITS
"""Deflate without zlib's header and checksum."""


def pack(pixels: NDArray[Any]) -> bytes:
    """The ``(H, W)`` uint8 or uint16 values as bytes for ``unpack``."""
    differences = np.empty(pixels.shape, pixels.dtype)
    differences[:, 0] = pixels[:, 0]
    np.subtract(pixels[:, 1:], pixels[:, :-1], out=differences[:, 1:])  # wraps, and back in unpack
    # Runs of zeros are all that noise has of repetitions: looking for others costs much and finds nothing.
    packer = zlib.compressobj(1, zlib.DEFLATED, RAW, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return packer.compress(_planes(differences).data) + packer.flush()


def unpack(packed: bytes | memoryview, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """What went into ``pack``.

    Raises:
        ValueError: the bytes are not those of an array of this shape and type.
    """
    size = shape[0] * shape[1] * dtype.itemsize
    unpacker = zlib.decompressobj(RAW)
    try:
        planes = unpacker.decompress(packed, size)
    except zlib.error as problem:
        raise ValueError(str(problem)) from problem
    if len(planes) != size or not (unpacker.eof or unpacker.decompress(unpacker.unconsumed_tail, 1) == b""):
        raise ValueError(f"found {len(planes)} bytes or more, wanted {size}")
    values = np.frombuffer(planes, np.uint8)
    if dtype.itemsize > 1:
        values = np.ascontiguousarray(values.reshape(dtype.itemsize, -1).T).view(dtype)
    return np.cumsum(values.reshape(shape), axis=1, dtype=dtype)


def _planes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """All low bytes, then all high ones: each by itself is distributed more unevenly."""
    octets = values.view(np.uint8)
    if values.dtype.itemsize == 1:
        return octets
    return np.ascontiguousarray(octets.reshape(-1, values.dtype.itemsize).T)
