"""What files become which frames, under which names."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from PIL import Image

from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.inference.folder import find_frames
from gwunet.inference.places import Places
from gwunet.inference.sources import find_runs, frame_index, frame_name

Frames = NDArray[np.uint8]
FRAMES: Frames = np.random.default_rng(0).integers(0, 256, (3, 24, 32), np.uint8)


def save_picture(path: Path, frame: Frames = FRAMES[0]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame).save(path)


def save_dicom(path: Path, frames: Frames = FRAMES, **tags: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = SimpleITK.GetImageFromArray(frames)
    for tag, value in {"0008|0060": "XA", "0018|1063": "40", **tags}.items():
        picture.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(f"{path}.dcm")
    writer.Execute(picture)
    Path(f"{path}.dcm").rename(path)


def save_video(path: Path, frames: Frames = FRAMES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())


def all_frames(source: Path) -> dict[str, Frames]:
    """Name to pixels, of everything that is found."""
    return {frame.name: np.asarray(frame.read()) for run in find_runs(source) for frame in run.frames()}


def test_nested_folders_of_all_kinds(tmp_path: Path) -> None:
    save_picture(tmp_path / "z.bmp", FRAMES[1])
    save_picture(tmp_path / "a" / "b" / "x.png", FRAMES[2])
    save_picture(tmp_path / ".hidden" / "x.png")
    save_picture(tmp_path / "a" / ".x.png")
    save_dicom(tmp_path / "a" / "1.2.840.7")  # as hospitals name them, without an ending
    save_dicom(tmp_path / "single.dcm", FRAMES[:1])
    save_video(tmp_path / "v" / "film.avi")
    (tmp_path / "notes.txt").write_text("no frame")
    found = all_frames(tmp_path)
    numbers = [f"{index:04d}" for index in range(3)]
    run, film = [f"a/1.2.840.7_{number}" for number in numbers], [f"v/film_{number}" for number in numbers]
    assert list(found) == [*run, "a/b/x", "single", *film, "z"]
    np.testing.assert_array_equal(np.stack([found[name] for name in run]), FRAMES)
    np.testing.assert_array_equal(np.stack([found[name] for name in film]), FRAMES)
    for name, expected in (("z", FRAMES[1]), ("a/b/x", FRAMES[2]), ("single", FRAMES[0])):
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize(("save", "name"), [(save_picture, "x.png"), (save_dicom, "x.dcm"), (save_video, "x.mkv")])
def test_one_file(tmp_path: Path, save: Callable[[Path], None], name: str) -> None:
    save(tmp_path / name)
    (run,) = find_runs(tmp_path / name)
    frames = list(run.frames())
    assert [frame.name for frame in frames] == (["x"] if name == "x.png" else ["x_0000", "x_0001", "x_0002"])
    assert run.n_frames == (None if name == "x.mkv" else len(frames))
    assert run.frame_time_ms == {"x.png": None, "x.dcm": 40.0, "x.mkv": 50.0}[name]
    assert [frame_index(run, frame_name(run, index)) for index in range(len(frames))] == list(range(len(frames)))


def test_a_folder_that_links_to_itself_holds_its_frames_once(tmp_path: Path) -> None:
    save_picture(tmp_path / "runs" / "x.png")
    (tmp_path / "runs" / "self").symlink_to(".")
    assert list(all_frames(tmp_path)) == ["runs/x"]


def test_the_channel_suffix_goes_where_all_pictures_have_it(tmp_path: Path) -> None:
    for name in ("one_0000.png", "b/two_0000.png"):
        save_picture(tmp_path / name)
    assert sorted(all_frames(tmp_path)) == ["b/two", "one"]
    save_picture(tmp_path / "three.png")
    assert sorted(all_frames(tmp_path)) == ["b/two_0000", "one_0000", "three"]


@pytest.mark.parametrize("other", ["run.dcm", "run_0001.png", "run.avi"])
def test_masks_of_one_name_are_refused(tmp_path: Path, other: str) -> None:
    save_dicom(tmp_path / "run.ima")
    {".dcm": save_dicom, ".png": save_picture, ".avi": save_video}[Path(other).suffix](tmp_path / other)
    with pytest.raises(DatasetError, match=r"its mask would have the name of run\.\w+'s; rename one of them"):
        find_runs(tmp_path)


def test_damaged_files_are_one_frame_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "run.dcm").write_bytes(b"no DICOM")
    (tmp_path / "film.avi").write_bytes(b"no video")
    save_picture(tmp_path / "x.png")
    film, run, picture = (list(found.frames()) for found in find_runs(tmp_path))
    for (only,), name in ((film, "film.avi"), (run, "run.dcm")):
        with pytest.raises(FrameError, match=name):
            only.read()
    np.testing.assert_array_equal(picture[0].read(), FRAMES[0])


def test_a_video_is_read_up_to_where_it_cannot_be(tmp_path: Path) -> None:
    colours = np.repeat(FRAMES[..., None], 3, axis=3)
    colours[2, ..., 0] //= 2
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = 24, 32, "bgr0"
        for frame in colours:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    (run,) = find_runs(tmp_path)
    *good, bad = run.frames()
    np.testing.assert_array_equal(np.stack([frame.read() for frame in good]), FRAMES[:2])
    with pytest.raises(FrameError, match=r"film\.mkv: frame 3: found .* coloured pixels"):
        bad.read()


def test_dicom_without_pixels_is_left_out(tmp_path: Path) -> None:
    save_dicom(tmp_path / "run.dcm", FRAMES[:1])
    whole = (tmp_path / "run.dcm").read_bytes()
    (tmp_path / "report.dcm").write_bytes(whole[: whole.rindex(b"\xe0\x7f\x10\x00")])
    assert list(all_frames(tmp_path)) == ["run"]


def test_folders_without_frames_and_missing_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no frame")
    with pytest.raises(DatasetError, match=r"no frames there; wanted \.png"):
        find_runs(tmp_path)
    with pytest.raises(DatasetError, match="found no frames in it"):
        find_runs(tmp_path / "notes.txt")
    with pytest.raises(UsageError, match="no such file or folder"):
        find_runs(tmp_path / "missing")


def test_results_never_land_on_frames(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    save_picture(frames / "x.png")
    save_picture(frames / "a" / "y.png")
    for output in (frames, frames / "a"):
        with pytest.raises(UsageError, match="holds the frames themselves"):
            find_frames(frames, output)
    save_picture(tmp_path / "out" / "frames" / "frames" / "x.png")
    save_picture(tmp_path / "out" / "frames" / "x.png")
    with pytest.raises(UsageError, match="holds the frames themselves"):
        find_frames(tmp_path / "out" / "frames", tmp_path / "out")
    save_picture(tmp_path / "deep" / "a" / "y.tiff")  # whose mask is y.png
    for folder in ("deep", "deep/a", "deep/a/.."):
        with pytest.raises(UsageError, match="holds the frames themselves; give another folder"):
            find_frames(tmp_path / "deep" / "a" if folder == "deep/a" else tmp_path / "deep", tmp_path / folder)
    save_picture(tmp_path / "top" / "in" / "in" / "x.png")
    save_picture(tmp_path / "top" / "in" / "other.png")
    with pytest.raises(UsageError, match=r"-o .*top: masks would stand in .*top/in, which holds"):
        find_frames(tmp_path / "top" / "in", tmp_path / "top")
    find_frames(tmp_path / "top" / "in", tmp_path / "top" / "in" / "masks")
    save_picture(frames / "overlays" / "x.png")
    with pytest.raises(UsageError, match="would stand among the overlays"):
        find_frames(frames, tmp_path / "masks", overlay=True)


def test_results_below_the_frames_are_no_frames(tmp_path: Path) -> None:
    save_picture(tmp_path / "x.png")
    save_picture(tmp_path / "masks" / "x.png")
    (tmp_path / "masks" / "run_notes.json").write_text("{}")
    with pytest.raises(UsageError, match="holds the frames themselves"):
        find_frames(tmp_path, tmp_path / "masks")
    (tmp_path / "masks" / "run.json").write_text("{}")
    found = find_frames(tmp_path, tmp_path / "masks", video=tmp_path / "annotated.mkv")
    assert [run.name for run in found] == ["x"]


def test_a_video_that_is_read_is_not_replaced_by_the_annotated_one(tmp_path: Path) -> None:
    frames, masks = tmp_path / "frames", tmp_path / "masks"
    for name in ("runA.mkv", "runB.mkv"):
        save_video(frames / name)
    (tmp_path / "link.mkv").hardlink_to(frames / "runB.mkv")
    for source, video in (
        (frames, frames / "runB.mkv"),
        (frames / "runB.mkv", frames / "runB.mkv"),
        (frames, tmp_path / "link.mkv"),
    ):
        with pytest.raises(UsageError, match="found one of the videos that are read"):
            find_frames(source, masks, video=video)
    assert len(find_frames(frames, masks, video=frames / "annotated.mkv")) == 2


@pytest.mark.parametrize("name", ["x.png", "x.npz", "overlays/x.png", "run_0002.png", "run_0002.npz"])
def test_what_others_made_is_not_replaced_unasked(tmp_path: Path, name: str) -> None:
    """Masks drawn by hand have the names of their frames, as nnU-Net's ``.npz`` have."""
    frames, labels = tmp_path / "imagesTr", tmp_path / "labelsTr"
    save_picture(frames / "x.png")
    save_video(frames / "run.mkv")
    for harmless in ("other.png", "run_1.png", "notes.txt", "running.json", "x_0001.png"):
        save_picture(labels / harmless.replace(".txt", ".png").replace(".json", ".png"))
        (labels / harmless).touch()
    find_frames(frames, labels)
    save_picture((labels / name).with_suffix(".png"))
    (labels / name).with_suffix(".png").rename(labels / name)
    with pytest.raises(UsageError, match=rf"found {name}, and no run\.json .* made it; wanted .* --overwrite"):
        find_frames(frames, labels)
    find_frames(frames, labels, overwrite=True)
    (labels / "run_notes.json").write_text("{}")
    with pytest.raises(UsageError, match="--overwrite"):
        find_frames(frames, labels)
    (labels / "run_part_1.json").write_text("{}")
    find_frames(frames, labels)


def test_single_dicom_files_are_sequences_by_their_series(tmp_path: Path) -> None:
    """Files called by running numbers: of two patients, and the first in time is not the first by name."""
    for name, series, number in (("1.2.7", "1.2.9.1", "12"), ("1.2.8", "1.2.9.1", "9"), ("1.2.9", "1.2.9.2", "1")):
        save_dicom(tmp_path / name, FRAMES[:1], **{"0020|000e": series, "0020|0013": number})
    save_picture(tmp_path / "p_3.png")
    runs = find_runs(tmp_path)
    places = {place.name: (place.sequence, place.number) for place in map(Places(runs).at, [run.name for run in runs])}
    assert places == {"1.2.8": ("1.2.8", 0), "1.2.7": ("1.2.8", 1), "1.2.9": ("1.2.9", 0), "p_3": ("p", 3)}
    assert not any(secret in repr(runs) for secret in ("1.2.9.1", "1.2.9.2"))


def test_a_series_without_numbers_is_in_the_order_of_its_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("IM1", "IM10", "IM2"):
        save_dicom(tmp_path / name, FRAMES[:1], **{"0020|000e": "1.2.9.1", "0020|0013": "4"})
    assert {run.name: (run.place.sequence, run.place.number) for run in find_runs(tmp_path) if run.place} == {
        "IM1": ("IM1", 0),
        "IM2": ("IM1", 1),
        "IM10": ("IM1", 2),
    }
    (warning,) = caplog.messages
    assert "in 1 DICOM series (that of IM1) nothing in the headers" in warning


def test_pictures_are_of_another_sequence_than_a_run_of_their_name(tmp_path: Path) -> None:
    for name in ("run7_1", "run7_2", "run7_", "other_1"):
        save_picture(tmp_path / f"{name}.png")
    save_dicom(tmp_path / "run7.dcm")
    places = Places(find_runs(tmp_path))
    names = ("run7_0000", "run7_0001", "run7_1", "run7_2", "run7_", "other_1")
    assert {name: (place.sequence, place.number) for name in names if (place := places.at(name))} == {
        "run7_0000": ("run7", 0),
        "run7_0001": ("run7", 1),
        "run7_1": ("run7__", 1),
        "run7_2": ("run7__", 2),
        "run7_": ("run7_", 0),
        "other_1": ("other", 1),
    }
    assert places.frames_passed("run7_1", "run7_2") == 1


def test_frames_that_cannot_be_read_are_frames_that_passed(tmp_path: Path) -> None:
    for number in (10, 20, 30, 40):  # milliseconds, say: one frame each
        save_picture(tmp_path / f"p_{number}.png")
    save_dicom(tmp_path / "run.dcm")
    places = Places(find_runs(tmp_path))
    assert places.frames_passed("p_10", "p_20") == 1
    assert places.frames_passed("p_10", "p_40") == 3
    assert places.frames_passed("run_0000", "run_0002") == 2
    assert places.frames_passed("elsewhere_1", "elsewhere_9") == 1
