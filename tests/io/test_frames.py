"""Frames and masks as files: whole greyscale pictures come through exactly, all else is refused with a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import tifffile
from numpy.typing import NDArray
from PIL import Image

from gwunet.errors import DatasetError, FrameError, OutputError
from gwunet.io.frames import FRAME_ENDINGS, list_frames, read_frame, read_mask, visible_files, write_frame, write_mask

RNG = np.random.default_rng(0)
FRAME8 = RNG.integers(0, 256, (33, 47), dtype=np.uint8)
FRAME16 = RNG.integers(0, 65536, (33, 47), dtype=np.uint16)
MASK = (RNG.random((33, 47)) < 0.1).astype(np.uint8)
EXACT_ENDINGS = [ending for ending in FRAME_ENDINGS if ending not in (".jpg", ".jpeg")]


def save(path: Path, pixels: NDArray[Any]) -> Path:
    """Written by other code than the project's own writers."""
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("ending", [*EXACT_ENDINGS, ".PNG"])
def test_8_bit_frames_are_read_exactly(tmp_path: Path, ending: str) -> None:
    frame = read_frame(save(tmp_path / f"a{ending}", FRAME8))
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, FRAME8)
    frame[0, 0] = 1  # writable, or torch warns


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".npy"])
def test_16_bit_frames_are_read_exactly(tmp_path: Path, ending: str) -> None:
    frame = read_frame(save(tmp_path / f"a{ending}", FRAME16))
    assert frame.dtype == np.uint16
    np.testing.assert_array_equal(frame, FRAME16)


def test_big_endian_files_come_in_the_machines_order(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FRAME16, byteorder=">")
    np.save(tmp_path / "a.npy", FRAME16.astype(">u2"))
    for name in ("a.tif", "a.npy"):
        frame = read_frame(tmp_path / name)
        assert frame.dtype == np.uint16
        assert frame.dtype.isnative
        np.testing.assert_array_equal(frame, FRAME16)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("frame", [FRAME8, FRAME16], ids=["8 bits", "16 bits"])
def test_tiff_that_begins_with_white_is_read_the_right_way_round(
    tmp_path: Path, frame: NDArray[Any], compression: str | None
) -> None:
    """TIFF tag 262, PhotometricInterpretation: 0 stands for black or for white."""
    white = np.iinfo(frame.dtype).max
    tifffile.imwrite(tmp_path / "black.tif", frame, photometric="minisblack", compression=compression)
    tifffile.imwrite(tmp_path / "white.tif", white - frame, photometric="miniswhite", compression=compression)
    for name in ("black.tif", "white.tif"):
        read = read_frame(tmp_path / name)
        np.testing.assert_array_equal(read, frame)
        assert read.dtype == frame.dtype


def test_jpeg_frames_are_read_closely(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(48, dtype=np.uint8) * 5, (40, 1))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_frame(tmp_path / "a.jpg").astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("ending", [".png", ".tif", ".npy"])
def test_equal_channels_are_made_grey(tmp_path: Path, channels: int, ending: str) -> None:
    colour = np.stack([FRAME8] * channels, axis=-1)
    if channels == 4:
        colour[..., 3] = 255
    np.testing.assert_array_equal(read_frame(save(tmp_path / f"a{ending}", colour)), FRAME8)


def test_16_bit_equal_channels_keep_all_their_bits(tmp_path: Path) -> None:
    colour = np.stack([FRAME16] * 3, axis=-1)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colour, isVector=True), str(tmp_path / "a.png"))
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_frame(tmp_path / name), FRAME16)


def a_colour_picture(path: Path) -> None:
    colour = np.stack([FRAME8] * 3, axis=-1)
    colour[5, 5, 1] ^= 1
    save(path, colour)


@pytest.mark.parametrize(
    ("name", "make", "found"),
    [
        ("a.png", lambda path: path.write_bytes(b""), "an empty file"),
        ("a.npy", lambda path: path.write_bytes(b""), "an empty file"),
        ("a.png", lambda path: path.write_text("name,tip\n" * 20), "content that is none of PNG"),
        ("a.npy", lambda path: path.write_text("name,tip\n" * 20), "a damaged file"),
        ("a.png", lambda _: None, "no such file"),
        ("a.png", a_colour_picture, "a colour picture whose channels differ"),
        ("a.jpg", lambda path: Image.new("CMYK", (40, 40)).save(path), "a CMYK picture"),
        ("a.tif", lambda path: tifffile.imwrite(path, FRAME8.astype(np.float32)), "float32 pixels"),
        ("a.tif", lambda path: tifffile.imwrite(path, FRAME8.astype(np.uint32)), "int32 pixels"),
        ("a.npy", lambda path: np.save(path, FRAME8.astype(np.float64)), "float64 pixels"),
        ("a.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "a damaged file"),
        ("a.npy", lambda path: np.save(path, np.zeros((9, 33, 47), np.uint8)), r"an array of shape \(9, 33, 47\)"),
        (
            "a.tif",
            lambda path: tifffile.imwrite(path, np.stack([FRAME8] * 3), photometric="minisblack"),
            "3 pages in one file",
        ),
        (
            "a.tif",
            lambda path: tifffile.imwrite(
                path, np.stack([FRAME16] * 3), photometric="rgb", planarconfig="separate", compression="zlib"
            ),
            "16-bit colour",
        ),
        ("a.png", lambda path: save(path, np.zeros((1, 1), np.uint8)), "a frame of 1x1 px"),
        ("a.png", lambda path: path.mkdir(), "a damaged file"),
    ],
)
def test_what_is_no_frame_is_refused_by_name(
    tmp_path: Path, name: str, make: Callable[[Path], None], found: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(FrameError, match=rf"{name}: found {found}.*; wanted .*: "):
        read_frame(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "z.tif", "a.jpg", "a.bmp", "a.npy"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_truncated_files_are_noticed(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    if name == "z.tif":
        tifffile.imwrite(path, FRAME8, compression="zlib")
    else:
        save(path, FRAME8)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(FrameError, match=f"{name}: found "):
        read_frame(path)


@pytest.mark.parametrize("ending", EXACT_ENDINGS)
@pytest.mark.parametrize("wire", [1, 255])
def test_both_spellings_of_a_mask_are_read(tmp_path: Path, ending: str, wire: int) -> None:
    mask = read_mask(save(tmp_path / f"a{ending}", MASK * np.uint8(wire)))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, MASK)


def test_masks_of_other_kinds_are_read(tmp_path: Path) -> None:
    palette = Image.fromarray(MASK).convert("P")
    palette.putdata(MASK.ravel().tolist())
    palette.putpalette([0, 0, 0, 128, 0, 0])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(MASK.astype(bool)).save(tmp_path / "one_bit.png")
    np.save(tmp_path / "bool.npy", MASK.astype(bool))
    np.save(tmp_path / "int64.npy", MASK.astype(np.int64))
    save(tmp_path / "rgb.png", np.stack([MASK * np.uint8(255)] * 3, axis=-1))
    for path in list_frames(tmp_path):
        np.testing.assert_array_equal(read_mask(path), MASK, err_msg=path.name)


def test_a_coloured_palette_is_no_frame(tmp_path: Path) -> None:
    picture = Image.fromarray(FRAME8).convert("P")
    picture.putpalette([value for index in range(256) for value in (index, 0, 255 - index)])
    picture.save(tmp_path / "a.png")
    with pytest.raises(FrameError, match="channels differ"):
        read_frame(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([0, 7], "0, 7"),
        ([0, 1, 255], "0, 1, 255"),
        ([0, 128, 255], "0, 128, 255"),
        ([0, 256], "0, 256"),
        ([0, -1], "-1, 0"),
    ],
)
def test_unknown_mask_values_are_named(tmp_path: Path, values: list[int], named: str) -> None:
    np.save(tmp_path / "a.npy", np.resize(np.array(values, np.int32), (12, 12)))
    with pytest.raises(
        FrameError, match=rf"a\.npy: found the mask values {named}; wanted \{{0, 1\}} or \{{0, 255\}}: "
    ):
        read_mask(tmp_path / "a.npy")


def test_mask_values_take_the_meaning_given(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.resize(np.array([0, 3, 4, 9], np.uint8), (8, 8)))
    mask = read_mask(tmp_path / "a.png", {0: 0, 3: 1, 4: 0, 9: 2})
    np.testing.assert_array_equal(mask, np.resize([0, 1, 0, 2], (8, 8)))
    with pytest.raises(FrameError, match="found the mask values 0, 3, 4, 9; wanted 0, 3, 4: "):
        read_mask(tmp_path / "a.png", {0: 0, 3: 1, 4: 0})


@pytest.mark.parametrize("frame", [FRAME8, FRAME16, np.stack([FRAME8, 255 - FRAME8, FRAME8], axis=-1)])
def test_written_frames_are_what_another_reader_reads(tmp_path: Path, frame: NDArray[Any]) -> None:
    write_frame(tmp_path / "new" / "a.png", frame)
    back = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "new" / "a.png")))
    assert back.dtype == frame.dtype
    np.testing.assert_array_equal(back, frame)


def test_written_masks_are_0_and_255(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", MASK.astype(bool))
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "L")  # 8 bits of grey
        image.verify()  # its checksums
    for back in (
        np.asarray(Image.open(tmp_path / "a.png")),
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.png"))),
    ):
        np.testing.assert_array_equal(back, MASK * np.uint8(255), strict=True)
    with pytest.raises(ValueError, match="0 and 1 only"):
        write_mask(tmp_path / "a.png", MASK * np.uint8(2))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"a\.png: cannot be written"):
        write_mask(tmp_path / "a.png", MASK)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_link_to_a_folder_above_is_not_entered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inner = tmp_path / "frames" / "b"
    inner.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (inner / "x.png", elsewhere / "y.png", inner / ".hidden.png"):
        path.touch()
    (tmp_path / "frames" / "a").symlink_to(elsewhere)
    (tmp_path / "frames" / "self").symlink_to(".")
    (inner / "up").symlink_to("..")
    found = [str(path.relative_to(tmp_path / "frames")) for path in visible_files(tmp_path / "frames")]
    assert found == ["a/y.png", "b/x.png"]
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        str(inner / "up"),
        str(tmp_path / "frames" / "self"),
    ]


def test_frames_are_listed_by_ending_and_sorted(tmp_path: Path) -> None:
    for name in ("b.png", "a.TIF", "c.npy", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert [path.name for path in list_frames(tmp_path)] == ["a.TIF", "b.png", "c.npy"]
    with pytest.raises(DatasetError, match="nowhere: found no such folder"):
        list_frames(tmp_path / "nowhere")
