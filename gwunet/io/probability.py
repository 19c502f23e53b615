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
FIELD_KEY = "field"
"""Name of the array that says where the frame was exposed, eight pixels a byte, row after row; left out where it was
everywhere."""
LEVELS = 255
"""Steps between 0 and 1 that saved probabilities are rounded to: then they take a fortieth of the room, since most of a
frame becomes exactly 0."""


def write_probability(
    path: Path, probability: NDArray[np.floating[Any]], field: NDArray[np.bool_] | None = None
) -> None:
    """Write ``(H, W)`` probabilities as float16 in steps of 1/255.

    Args:
        path: the file.
        probability: in [0, 1].
        field: ``(H, W)`` where the frame was exposed; None where it was everywhere.

    Raises:
        OutputError: the file cannot be written.
    """
    # Level 1 of deflate takes half the time of np.savez_compressed's for files a quarter larger.
    arrays: dict[str, NDArray[Any]] = {PROBABILITY_KEY: in_steps(probability).astype(np.float16)}
    if field is not None:
        arrays[FIELD_KEY] = np.packbits(field)
    with (
        replacing(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def in_steps(probability: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Probabilities rounded to the steps of 1/255 that a file keeps: as they come back from one."""
    steps: NDArray[np.float32] = (np.rint(probability * LEVELS) / LEVELS).astype(np.float32)
    return steps


def read_probability(path: Path) -> NDArray[np.floating[Any]]:
    """The ``(H, W)`` probabilities in a file.

    Steps of 1/255, as ``write_probability`` writes them, are float32, without what float16 cuts off, so that 0.2 is no
    less than 0.2. Others stay in the number type they were saved in.

    Raises:
        FrameError: it is missing or damaged, or holds something else.
    """
    saved = _read_saved(path)
    if saved.dtype != np.float16:
        return saved
    steps = in_steps(saved.astype(np.float32))
    return steps if np.array_equal(steps.astype(np.float16), saved) else saved


def _read_saved(path: Path) -> NDArray[np.floating[Any]]:
    """As they were saved; errors as ``read_probability``."""
    read_shape(path)  # refuses those that would take gigabytes
    try:
        with np.load(path, allow_pickle=False) as arrays:
            probability: NDArray[np.floating[Any]] = arrays[PROBABILITY_KEY]
    except Exception as problem:  # zipfile, zlib and numpy each have errors of their own for damaged files
        raise _unreadable(path, PROBABILITY_KEY, problem) from problem
    if probability.ndim != 2 or not np.issubdtype(probability.dtype, np.floating):
        raise FrameError(
            f"{path}: found {probability.dtype} of {probability.shape}; wanted (H, W) floats, as gw_predict "
            "--save_probabilities writes them"
        )
    return probability


def read_field(path: Path) -> NDArray[np.bool_] | None:
    """``(H, W)``: True where the frame was exposed; None where it was everywhere, or the file does not say.

    Raises:
        FrameError: as ``read_probability``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{FIELD_KEY}.npy" not in archive.namelist():
                return None
    except Exception as problem:
        raise _unreadable(path, PROBABILITY_KEY, problem) from problem
    shape = read_shape(path)
    n_bytes = -(-math.prod(shape) // 8)
    found = read_shape(path, FIELD_KEY)
    try:
        if found != (n_bytes,):
            raise ValueError(f"found {found}, wanted {n_bytes} bytes for {shape} px")
        with np.load(path, allow_pickle=False) as arrays:
            return np.unpackbits(arrays[FIELD_KEY], count=math.prod(shape)).reshape(shape).astype(np.bool_)
    except Exception as problem:
        raise _unreadable(path, FIELD_KEY, problem) from problem


def read_shape(path: Path, key: str = PROBABILITY_KEY) -> tuple[int, ...]:
    """The shape of a file's probabilities, or of another array, without reading them all.

    Raises:
        FrameError: it is missing or damaged, or larger than any frame.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape: tuple[int, ...] = read_header(file)[0]
    except Exception as problem:
        raise _unreadable(path, key, problem) from problem
    if math.prod(shape) > MAX_PIXELS:
        raise FrameError(f"{path}: found {shape} px; wanted at most {MAX_PIXELS} in all: predict the frame again")
    return shape


def read_levels(path: Path) -> NDArray[np.uint8]:
    """The same as ``(H, W)`` whole steps of 1/255, in which averages are exact.

    Raises:
        FrameError: as ``read_probability``, or there is a number that is no probability.
    """
    probability = _read_saved(path)
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


def _unreadable(path: Path, key: str, problem: Exception) -> FrameError:
    return FrameError(f"{path}: cannot read {key!r} ({problem}); predict the frame again")
