"""Single frames and masks as picture files, checked so that only whole greyscale pictures come through.

Pillow decodes, because it notices truncated JPEG and BMP files, which SimpleITK returns without an error and with
made-up pixels. It is also the fastest on a 512x512 8-bit X-ray frame (PNG 3.4 ms, SimpleITK 4.1, imageio 4.2; JPEG 0.8,
2.1, 1.1), lets two threads decode at once, and imports in 15 ms after numpy, where SimpleITK takes 300.
"""

import functools
import hashlib
import io
import logging
import math
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from gwunet.errors import DatasetError, FrameError
from gwunet.jsonio import replacing

FRAME_ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy")
MIN_SIDE_PX = 8
"""A frame with a shorter side is a broken export; no network of the project could use it."""
MAX_PIXELS = 1 << 26
"""Of a frame: four times those of the largest detectors. A few bytes of a compressed file can hold any number."""
BINARY_MASK: Mapping[int, int] = MappingProxyType({0: 0, 1: 1, 255: 1})
"""What the values of a plain mask file mean: 0 background, 1 wire."""

_PICTURE_FORMATS = ("PNG", "TIFF", "JPEG", "BMP")  # Pillow knows many more, none of which should open here
_PICTURE_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_UNKNOWN = 255
_DEEPEST_BLACK = np.uint16(65535)
"""Of a picture of 16 bits where 0 is white."""

logger = logging.getLogger(__name__)


@functools.cache
def _say_once(text: str) -> None:
    logger.info(text)


def visible_files(folder: Path, left_out: Collection[Path] = ()) -> Iterator[Path]:
    """The files in a folder and the folders in it, sorted by path; hidden ones are left out.

    Links to folders are followed, but not into a folder that the way there came through.

    Args:
        folder: where to look.
        left_out: resolved paths of files and folders not to look at.
    """
    return _visible_below(folder, left_out, above=())


def _visible_below(folder: Path, left_out: Collection[Path], above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    there = folder.stat()
    identity = there.st_dev, there.st_ino
    if identity in above:
        logger.warning("%s: not entered; it is a link to a folder above it", folder)
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.resolve() in left_out:
            continue
        if path.is_dir():
            yield from _visible_below(path, left_out, (*above, identity))
        elif path.is_file():
            yield path


def list_frames(folder: Path) -> list[Path]:
    """The frame files directly in ``folder``, chosen by ending and sorted by name; hidden files are left out.

    Raises:
        DatasetError: there is no such folder.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: found no such folder; wanted a folder of frames: check the path")
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in FRAME_ENDINGS and not path.name.startswith(".")
    )


def read_frame(path: Path) -> NDArray[Any]:
    """One greyscale frame.

    Args:
        path: a file with one of ``FRAME_ENDINGS``; RGB(A) is made grey when its channels are equal.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        FrameError: the file is missing, damaged, coloured, of another number type, or holds several pages.
    """
    return _checked(_grey(_decode(path), path), str(path))


def decode_png(data: bytes, name: str) -> NDArray[Any]:
    """One greyscale frame from the bytes of a PNG file; as ``read_frame``.

    Args:
        data: the file's content.
        name: what messages call it.

    Raises:
        FrameError: it is damaged, coloured or too small.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            _check_extent(image.size, name)
            deep_colour = image.mode.startswith("RGB") and _has_16_bit_channels(image)
            if image.mode not in _PICTURE_MODES or deep_colour:
                raise FrameError(f"{name}: found a {image.mode} picture; wanted greyscale of 8 or 16 bits")
            pixels = np.array(image.convert("RGB") if image.mode == "P" else image)
    except FrameError:
        raise
    except Exception as problem:  # as of damaged files
        raise FrameError(f"{name}: found a damaged PNG ({problem}); wanted a whole one: send it again") from problem
    return _checked(_grey(pixels, Path(name)), name)


def digest_pixels(frame: NDArray[Any]) -> bytes:
    """Of an array: equal for equal pixels of the same type and shape, and practically for no others."""
    head = repr((frame.shape, str(frame.dtype))).encode()
    return hashlib.blake2b(head + frame.tobytes(), digest_size=16).digest()


def read_mask(path: Path, meaning: Mapping[int, int] = BINARY_MASK) -> NDArray[np.uint8]:
    """One mask, its file values translated.

    Args:
        path: a file with one of ``FRAME_ENDINGS``.
        meaning: from each value allowed in the file (0 to 255) to the value returned. Where 1 and 255 are spellings of
            the same thing, one file may use only one of them.

    Returns:
        (H, W) uint8; {0, 1} with the default ``meaning``.

    Raises:
        FrameError: the file is missing or damaged, or holds values that have no meaning.
    """
    values = _grey(_decode(path, palette_indices=True), path)
    table = np.full(256, _UNKNOWN, np.uint8)
    table[list(meaning)] = list(meaning.values())
    mask = None
    if values.dtype.kind in "bui" and (values.size == 0 or (values.min() >= 0 and values.max() <= 255)):
        bytes_ = values.astype(np.uint8, copy=False)
        mask = table[bytes_]
        has_255 = bool((bytes_ == 255).any())
        mixes_spellings = has_255 and table[1] == table[255] and bool((bytes_ == 1).any())
        if has_255:
            _say_once("masks hold the wire as 255")
    if mask is None or (mask == _UNKNOWN).any() or mixes_spellings:
        raise FrameError(
            f"{path}: found the mask values {_few_values(values)}; wanted {_wanted_values(meaning)}: "
            "save the mask again (as PNG: JPEG changes values), or declare its values under labels in dataset.json"
        )
    return mask


def write_mask(path: Path, mask: NDArray[Any]) -> None:
    """Write a (H, W) mask in {0, 1} as a PNG in {0, 255}, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    if mask.size and mask.max() > 1:
        raise ValueError(f"{path}: a mask to write holds 0 and 1 only, got {_few_values(mask)}")
    with replacing(path) as partial:
        partial.write_bytes(_mask_as_png(mask.astype(np.uint8, copy=False)))


def write_frame(path: Path, frame: NDArray[Any]) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, as a PNG, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    _write_png(path, frame)


def _mask_as_png(mask: NDArray[np.uint8]) -> bytes:
    """Takes a third of Pillow's time, which tries five filters on each row where none is best, for smaller files."""
    height, width = mask.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # the first byte of a row says that no filter was used
    np.multiply(mask, np.uint8(255), out=rows[:, 1:])
    squeeze = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),  # 8 bits of grey
        (b"IDAT", squeeze.compress(rows.tobytes()) + squeeze.flush()),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _write_png(path: Path, pixels: NDArray[Any]) -> None:
    with replacing(path) as partial:
        # Level 1 takes a quarter of the default's time for files a fifth larger.
        Image.fromarray(np.ascontiguousarray(pixels)).save(partial, format="PNG", compress_level=1)


def _decode(path: Path, palette_indices: bool = False) -> NDArray[Any]:
    """The file's pixels, (H, W) or (H, W, C), writable and in the machine's byte order."""
    try:
        if path.suffix.lower() == ".npy":
            # Mapped first: a header that promises more than the file holds is refused before memory is taken.
            mapped = np.lib.format.open_memmap(path, mode="r")
            _check_extent(mapped.shape, str(path))
            pixels = np.array(mapped)
        else:
            pixels = _decode_picture(path, palette_indices)
    except FrameError:
        raise
    except Exception as problem:  # decoders raise nearly anything on damaged files: OSError, SyntaxError, struct.error
        raise FrameError(
            f"{path}: found {_what_is_wrong(path, problem)}; wanted a whole {', '.join(FRAME_ENDINGS)} file: "
            "copy or export it again, or remove it"
        ) from problem
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _decode_picture(path: Path, palette_indices: bool) -> NDArray[Any]:
    with Image.open(path, formats=_PICTURE_FORMATS) as image:
        _check_extent(image.size, str(path))
        pages = getattr(image, "n_frames", 1)
        if pages > 1:
            raise FrameError(
                f"{path}: found {pages} pages in one file; wanted one frame per file: write each to its own"
            )
        if image.mode not in _PICTURE_MODES:
            raise FrameError(f"{path}: found a {image.mode} picture; wanted greyscale: save it with one grey channel")
        if image.mode.startswith("RGB") and _has_16_bit_channels(image):
            return _decode_16_bit_colour(path)
        if image.mode == "P":
            colours = np.array(image.convert("RGB"))
            # Label editors colour the palette and keep the label in the index.
            return np.array(image) if palette_indices and not _channels_agree(colours) else colours
        pixels = np.array(image)
        return _DEEPEST_BLACK - pixels if _is_deep_white_is_zero(image) else pixels


def _is_deep_white_is_zero(image: ImageFile.ImageFile) -> bool:
    """Whether it is a TIFF of 16 bits whose 0 is white, which Pillow leaves so; those of fewer bits it turns."""
    photometric = getattr(image, "tag_v2", {}).get(262)  # TIFF tag 262; 0 is WhiteIsZero
    return photometric == 0 and image.mode.startswith("I;16")


def _check_extent(shape: tuple[int, ...], name: str) -> None:
    """Refuse what would take gigabytes before it is decoded."""
    if math.prod(shape) > MAX_PIXELS:
        raise FrameError(
            f"{name}: found {'x'.join(map(str, shape))} px; wanted at most {MAX_PIXELS / 1e6:.0f} million in all: "
            "export the frame as it was taken"
        )


def _has_16_bit_channels(image: ImageFile.ImageFile) -> bool:
    bits_per_sample: tuple[int, ...] = getattr(image, "tag_v2", {}).get(258, (8,))  # TIFF tag 258
    return max(bits_per_sample) > 8 or any(";16" in str(tile[3]) for tile in image.tile)


def _decode_16_bit_colour(path: Path) -> NDArray[Any]:
    """RGB(A) of 16 bits per channel, of which Pillow would drop the lower eight."""
    import SimpleITK  # rarely needed and slow to import

    pixels: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    if pixels.dtype != np.uint16:
        raise FrameError(
            f"{path}: found 16-bit colour in separate planes; wanted greyscale: save it with one grey channel"
        )
    return pixels


def _checked(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FrameError(
            f"{name}: found {pixels.dtype} pixels; wanted uint8 or uint16: export the frame with 8 or 16 bits per pixel"
        )
    if min(pixels.shape) < MIN_SIDE_PX:
        raise FrameError(
            f"{name}: found a frame of {_size(pixels)} px; wanted at least {MIN_SIDE_PX} px on each side: "
            "export the frame again or remove it"
        )
    return pixels


def _grey(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim != 3 or pixels.shape[2] > 4:
        raise FrameError(
            f"{path}: found an array of shape {pixels.shape}; wanted (height, width): save one frame per file"
        )
    colours = pixels[..., :1] if pixels.shape[2] <= 2 else pixels[..., :3]  # a second or fourth channel is alpha
    if not _channels_agree(colours):
        raise FrameError(
            f"{path}: found a colour picture whose channels differ; wanted greyscale, or RGB with equal channels: "
            "export the frame without overlays or colour map"
        )
    _say_once("RGB pictures with equal channels are read as grey")
    return np.ascontiguousarray(colours[..., 0])


def _channels_agree(colours: NDArray[Any]) -> bool:
    return all(np.array_equal(colours[..., 0], colours[..., channel]) for channel in range(1, colours.shape[2]))


def _what_is_wrong(path: Path, problem: Exception) -> str:
    if not path.exists():
        return "no such file"
    if path.stat().st_size == 0:
        return "an empty file"
    if isinstance(problem, UnidentifiedImageError):
        return f"content that is none of {', '.join(_PICTURE_FORMATS)}"
    return f"a damaged file ({problem})"


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"


def _few_values(values: NDArray[Any], limit: int = 10) -> str:
    found = np.unique(values)
    return ", ".join(str(value) for value in found[:limit]) + (", ..." if len(found) > limit else "")


def _wanted_values(meaning: Mapping[int, int]) -> str:
    return "{0, 1} or {0, 255}" if meaning == BINARY_MASK else ", ".join(str(value) for value in sorted(meaning))
