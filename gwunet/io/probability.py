"""Probabilities of a frame as a small file: ``probability`` in an ``.npz`` that ``np.load`` reads."""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.io.frames import MAX_PIXELS
from gwunet.jsonio import replacing

PROBABILITY_KEY = "probability"
"""Name of the array in the file."""
LEVELS = 255
"""Steps between 0 and 1 that saved probabilities are rounded to: then they take a fortieth of the room, since most of a
frame becomes exactly 0."""


def write_probability(path: Path, probability: NDArray[np.floating[Any]]) -> None:
    """Write ``(H, W)`` probabilities as float16 in steps of 1/255.

    Raises:
        OutputError: the file cannot be written.
    """
    steps = np.rint(probability * LEVELS) / LEVELS
    # Level 1 of deflate takes half the time of np.savez_compressed's for files a quarter larger.
    with (
        replacing(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{PROBABILITY_KEY}.npy", "w") as file,
    ):
        np.lib.format.write_array(file, steps.astype(np.float16), allow_pickle=False)


def read_probability(path: Path) -> NDArray[np.floating[Any]]:
    """The ``(H, W)`` probabilities in a file, in the number type they were saved in.

    Raises:
        FrameError: it is missing or damaged, or holds something else.
    """
    read_shape(path)  # refuses those that would take gigabytes
    try:
        with np.load(path, allow_pickle=False) as arrays:
            probability: NDArray[np.floating[Any]] = arrays[PROBABILITY_KEY]
    except Exception as problem:  # zipfile, zlib and numpy each have errors of their own for damaged files
        raise FrameError(f"{path}: cannot read {PROBABILITY_KEY!r} ({problem}); predict the frame again") from problem
    if probability.ndim != 2 or not np.issubdtype(probability.dtype, np.floating):
        raise FrameError(
            f"{path}: found {probability.dtype} of {probability.shape}; wanted (H, W) floats, as gw_predict "
            "--save_probabilities writes them"
        )
    return probability


def read_shape(path: Path) -> tuple[int, ...]:
    """The shape of a file's probabilities, without reading them all.

    Raises:
        FrameError: it is missing or damaged, or larger than any frame.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{PROBABILITY_KEY}.npy") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape: tuple[int, ...] = read_header(file)[0]
    except Exception as problem:
        raise FrameError(f"{path}: cannot read {PROBABILITY_KEY!r} ({problem}); predict the frame again") from problem
    if math.prod(shape) > MAX_PIXELS:
        raise FrameError(f"{path}: found {shape} px; wanted at most {MAX_PIXELS} in all: predict the frame again")
    return shape


def read_levels(path: Path) -> NDArray[np.uint8]:
    """The same as ``(H, W)`` whole steps of 1/255, in which averages are exact.

    Raises:
        FrameError: as ``read_probability``, or there is a number that is no probability.
    """
    probability = read_probability(path)
    # A comparison with NaN is false, so this refuses NaN too.
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise FrameError(
            f"{path}: found {probability.min()} to {probability.max()}; wanted probabilities in [0, 1]: predict the "
            "frame again"
        )
    return np.rint(probability.astype(np.float32) * LEVELS).astype(np.uint8)


def read_average(paths: Sequence[Path]) -> tuple[NDArray[np.uint16], int]:
    """The average of one frame's files, exactly: ``(H, W)`` steps of 1/top, and top, the level of probability 1.

    Raises:
        FrameError: a file cannot be read, or they are of different sizes.
    """
    total = read_levels(paths[0]).astype(np.uint16)
    for path in paths[1:]:
        levels = read_levels(path)
        if levels.shape != total.shape:
            found = " and ".join(f"{shape[0]}x{shape[1]} px" for shape in (levels.shape, total.shape))
            raise FrameError(f"{path}: found {found} in {paths[0]}; wanted one size: predict the same frame with both")
        total += levels
    return total, LEVELS * len(paths)
