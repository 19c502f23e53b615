"""What goes into the store comes out of it."""

import dataclasses
import logging
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwunet.data.lock import locked
from gwunet.data.store import PreprocessedStore, discard_store, is_up_to_date
from gwunet.data.writing import MAX_LOCATIONS, write_locked
from gwunet.dataset import CENTRELINE, IGNORE, Dataset
from gwunet.errors import FrameError, NotPreparedError, OutputError, SchemaError
from gwunet.exposed_field import NO_BORDER, Border
from gwunet.plans import Preprocessing

LABELS = {"background": 0, "wire": 1, "ignore": 2}
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


def make_pair(seed: int, scale: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame with a circular field, its mask with wire and ignored pixels, and the field."""
    rng = np.random.default_rng(seed)
    shape = (50 + seed, 63 - seed)
    rows, columns = np.indices(shape)
    field = (rows - 24) ** 2 + (columns - 30) ** 2 <= 20**2
    frame = np.where(field, rng.integers(120, 160, shape), 15)
    mask = rng.choice(3, shape, p=(0.8, 0.1, 0.1)) * field
    return (frame * scale).astype(np.uint8 if scale == 1 else np.uint16), mask.astype(np.uint8), field


def plan(scale: int) -> Preprocessing:
    return Preprocessing(
        borders={
            "uint8" if scale == 1 else "uint16": Border(level=15.0 * scale, threshold=20.0 * scale, spread=2.0 * scale)
        }
    )


@pytest.fixture
def store_folder(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> Path:
    made = {f"case{seed}": make_pair(seed, 1)[:2] for seed in range(3)}
    write_locked(tmp_path / "store", make_raw_dataset(made, labels=LABELS), plan(1))
    return tmp_path / "store"


@pytest.mark.parametrize("scale", [1, 200], ids=["uint8", "uint16"])
@pytest.mark.parametrize("threads", [1, 3])
def test_frames_targets_and_fields_come_back(
    make_raw_dataset: Callable[..., Dataset], tmp_path: Path, scale: int, threads: int
) -> None:
    made = {f"case{seed}": make_pair(seed, scale) for seed in range(5)}
    dataset = make_raw_dataset({name: pair[:2] for name, pair in made.items()}, labels=LABELS)
    write_locked(tmp_path / "store", dataset, plan(scale), threads)
    store = PreprocessedStore(tmp_path / "store")
    assert store.cases == tuple(made)
    for name, (frame, mask, field) in made.items():
        box = store.entry(name).box
        assert (box.top, box.bottom, box.left, box.right) == (4, 45, 10, 51)
        assert store.entry(name).frame_shape == frame.shape
        sample = store.read(name)
        np.testing.assert_array_equal(sample.field, field[box.slices])
        np.testing.assert_array_equal(np.where(sample.target == CENTRELINE, 1, sample.target), mask[box.slices])
        np.testing.assert_array_equal(sample.wire, mask[box.slices] == 1)
        values = frame[field].astype(np.float64)
        expected = np.where(field, (frame - values.mean()) / values.std(), 0)
        np.testing.assert_allclose(sample.frame, expected[box.slices], atol=2e-5)
        assert set(np.unique(sample.target)) >= {0, CENTRELINE, IGNORE}
        assert store.entry(name).wire_pixels == (mask == 1).sum()
        stored = store.frame(name)
        assert stored.pixels.dtype == frame.dtype
        np.testing.assert_array_equal(stored.pixels, (frame * field)[box.slices])
        on_wire = np.flatnonzero(mask[box.slices] == 1)
        assert stored.wire_locations.size == min(on_wire.size, MAX_LOCATIONS)
        assert set(stored.wire_locations) <= set(on_wire)


def test_frames_of_both_depths_share_a_store(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    shallow, deep = make_pair(0, 1), make_pair(1, 200)
    dataset = make_raw_dataset({"shallow": shallow[:2], "deep": deep[:2]}, labels=LABELS)
    write_locked(tmp_path / "store", dataset, Preprocessing(borders=plan(1).borders | plan(200).borders))
    store = PreprocessedStore(tmp_path / "store")
    for name, (frame, _, field) in {"shallow": shallow, "deep": deep}.items():
        sample = store.read(name)
        assert sample.field.sum() == field.sum()
        assert sample.frame[sample.field].std() == pytest.approx(1, abs=1e-4)
        assert store.entry(name).mean == pytest.approx(frame[field].mean())


def test_the_skeleton_of_the_exposed_wire_is_marked(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    """A bar of 9 rows that begins outside the field and is ignored at its other end: five rows in its middle."""
    frame, mask = np.full((60, 80), 120, np.uint8), np.zeros((60, 80), np.uint8)
    frame[:, :20] = 15  # the collimator
    mask[20:29, 5:70] = 1
    mask[20:29, 60:70] = IGNORE
    dataset = make_raw_dataset({"bar": (frame, mask)}, labels=LABELS)
    write_locked(tmp_path / "store", dataset, plan(1))
    store = PreprocessedStore(tmp_path / "store")
    assert store.entry("bar").box.left == 20
    target = store.read("bar").target
    expected = np.zeros((60, 20), np.uint8)
    expected[20:29] = 1
    expected[22:27] = CENTRELINE
    np.testing.assert_array_equal(target[:, 10:30], expected)
    assert (target[20:29, 40:50] == IGNORE).all()
    assert set(np.unique(target[20:29, :40])) == {1, CENTRELINE}


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the library handles it."""


def killed_after(count: int) -> Callable[[Iterable[Any], int, str], Iterator[Any]]:
    """A progress bar at which the process ends."""

    def progress(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        for index, item in enumerate(items):
            if index == count:
                raise Killed
            yield item

    return progress


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestUpToDate:
    @pytest.fixture
    def dataset(self, make_raw_dataset: Callable[..., Dataset]) -> Dataset:
        return make_raw_dataset({f"case{seed}": make_pair(seed, 1)[:2] for seed in range(5)}, labels=LABELS)

    def test_while_neither_frames_nor_preprocessing_change(self, dataset: Dataset, tmp_path: Path) -> None:
        folder = tmp_path / "store"
        assert not is_up_to_date(folder, dataset, plan(1))
        write_locked(folder, dataset, plan(1))
        assert is_up_to_date(folder, dataset, plan(1))
        other = Preprocessing(borders={"uint8": Border(level=15.0, threshold=21.0, spread=2.0)})
        assert not is_up_to_date(folder, dataset, other)
        fewer = dataclasses.replace(dataset, training=dataset.training[:-1])
        assert not is_up_to_date(folder, fewer, plan(1))
        Image.fromarray(make_pair(9, 1)[0]).save(dataset.folder / "imagesTr" / "case3.png")
        assert not is_up_to_date(folder, dataset, plan(1))

    def test_not_when_its_files_are_incomplete_or_of_before(self, dataset: Dataset, tmp_path: Path) -> None:
        folder = tmp_path / "store"
        write_locked(folder, dataset, plan(1))
        (folder / "store.json").write_text(STORE_1)
        assert not is_up_to_date(folder, dataset, plan(1))
        write_locked(folder, dataset, plan(1))
        assert is_up_to_date(folder, dataset, plan(1))
        (folder / "labels.bin").write_bytes(b"short")
        assert not is_up_to_date(folder, dataset, plan(1))
        discard_store(folder)
        assert not (folder / "store.json").exists()


class TestInterruption:
    @pytest.fixture
    def dataset(self, make_raw_dataset: Callable[..., Dataset]) -> Dataset:
        return make_raw_dataset({f"case{seed}": make_pair(seed, 1)[:2] for seed in range(5)}, labels=LABELS)

    def interrupted(self, dataset: Dataset, folder: Path, count: int) -> None:
        with pytest.raises(Killed):
            write_locked(folder, dataset, plan(1), progress=killed_after(count))
        with pytest.raises(NotPreparedError):
            PreprocessedStore(folder)

    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_a_killed_command_goes_on_to_the_same_store(
        self, dataset: Dataset, tmp_path: Path, count: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_locked(tmp_path / "whole", dataset, plan(1))
        self.interrupted(dataset, tmp_path / "killed", count)
        read: list[int] = []

        def progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
            read.append(total)
            return items

        with caplog.at_level(logging.INFO):
            write_locked(tmp_path / "killed", dataset, plan(1), progress=progress)
        assert read == [5 - count]
        assert (f"after {count} of 5 frames" in caplog.text) == (count > 0)
        assert contents(tmp_path / "killed") == contents(tmp_path / "whole")

    @pytest.mark.parametrize("damage", ["frame", "label", "journal"])
    def test_what_is_half_written_is_written_again(self, dataset: Dataset, tmp_path: Path, damage: str) -> None:
        write_locked(tmp_path / "whole", dataset, plan(1))
        folder = tmp_path / "killed"
        self.interrupted(dataset, folder, 3)
        name = {"frame": "frames.bin", "label": "labels.bin", "journal": "store.jsonl"}[damage]
        path = folder / f".partial-{name}"
        path.write_bytes(path.read_bytes()[:-7])
        with (folder / ".partial-labels.bin").open("ab") as file:
            file.write(b"" if damage == "label" else b"of a frame that the journal does not know")
        write_locked(folder, dataset, plan(1))
        assert contents(folder) == contents(tmp_path / "whole")

    def test_frames_of_another_plan_or_of_changed_files_are_not_gone_on_with(
        self, dataset: Dataset, tmp_path: Path
    ) -> None:
        folder = tmp_path / "killed"
        with pytest.raises(Killed):
            write_locked(folder, dataset, Preprocessing(borders={"uint8": NO_BORDER}), progress=killed_after(3))
        self.interrupted(dataset, folder, 2)
        Image.fromarray(make_pair(0, 1)[0][::-1].copy()).save(dataset.folder / "imagesTr" / "case0.png")
        write_locked(folder, dataset, plan(1))
        write_locked(tmp_path / "whole", dataset, plan(1))
        assert contents(folder) == contents(tmp_path / "whole")

    def test_a_second_command_at_the_same_time_is_refused(self, dataset: Dataset, tmp_path: Path) -> None:
        folder = tmp_path / "store"
        with locked(folder):
            write_locked(folder, dataset, plan(1))
            with pytest.raises(OutputError, match="found another command preparing it"), locked(folder):
                pytest.fail("both went on")
        with locked(folder):
            assert is_up_to_date(folder, dataset, plan(1))


STORE_1 = """{
  "schema_version": 1,
  "dtype": "uint8",
  "n_pixels": 4,
  "preprocessing": {"borders": {"uint8": {"level": 15.0, "threshold": 20.0, "spread": 2.0}}},
  "entries": [{
    "case": "case0", "offset": 0, "height": 2, "width": 2, "box": {"top": 0, "bottom": 2, "left": 0, "right": 2},
    "frame_shape": [2, 2], "mean": 100.0, "std": 3.0, "wire_pixels": 1
  }]
}"""
"""As gwunet wrote it before the skeleton had a bit."""
STORE_2 = STORE_1.replace('"schema_version": 1', '"schema_version": 2').replace("}]\n}", '}],\n  "source": "abc"\n}')
"""As gwunet wrote it before frames were packed."""


@pytest.mark.parametrize(("content", "version"), [(STORE_1, 1), (STORE_2, 2)])
def test_a_store_of_an_earlier_version_wants_to_be_written_again(tmp_path: Path, content: str, version: int) -> None:
    (tmp_path / "store.json").write_text(content)
    (tmp_path / "frames.bin").write_bytes(b"1234")
    (tmp_path / "labels.bin").write_bytes(b"\4\5\4\4")
    wanted = rf"store\.json: .*schema version {version}, wanted 3.*gw_plan_and_preprocess"
    with pytest.raises(NotPreparedError, match=wanted):
        PreprocessedStore(tmp_path)


def test_a_store_without_any_wire_is_whole(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    frame = make_pair(0, 1)[0]
    write_locked(tmp_path / "store", make_raw_dataset({"none": (frame, np.zeros_like(frame))}), plan(1))
    store = pickle.loads(pickle.dumps(PreprocessedStore(tmp_path / "store")))  # as a worker process gets it
    assert store.frame("none").wire_locations.size == 0
    assert not store.read("none").wire.any()


@pytest.mark.parametrize("file", ["frames.bin", "labels.bin"])
def test_damaged_bytes_are_named_when_they_are_read(store_folder: Path, file: str) -> None:
    path = store_folder / file
    whole = bytearray(path.read_bytes())
    entry = PreprocessedStore(store_folder).entry("case1")
    start, stop = entry.frame if file == "frames.bin" else entry.labels
    whole[start:stop] = bytes(stop - start)
    path.write_bytes(whole)
    store = PreprocessedStore(store_folder)
    store.read("case0")
    with pytest.raises(NotPreparedError, match=rf"{file}: case1: damaged .*--clean"):
        store.read("case1")


@pytest.mark.parametrize("file", ["frames.bin", "labels.bin", "locations.bin"])
def test_a_truncated_or_missing_file_is_named(store_folder: Path, file: str) -> None:
    path = store_folder / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(NotPreparedError, match=rf"{file}: {len(whole) - 1} bytes, store\.json says {len(whole)}"):
        PreprocessedStore(store_folder)
    path.unlink()
    with pytest.raises(NotPreparedError, match=rf"{file}: 0 bytes"):
        PreprocessedStore(store_folder)


def test_a_missing_store_case_or_key_is_named(store_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotPreparedError, match="no preprocessed frames"):
        PreprocessedStore(tmp_path)
    with pytest.raises(NotPreparedError, match="case 'case9' is not among the 3 preprocessed frames"):
        PreprocessedStore(store_folder).read("case9")
    index = store_folder / "store.json"
    index.write_text(index.read_text().replace('"locations"', '"places"', 1))
    with pytest.raises(SchemaError, match=r"store\.json: entries\[0\]\.places: unknown key"):
        PreprocessedStore(store_folder)


def test_a_write_that_fails_leaves_no_store(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    """Not even the one that stood there before, since its frames may be gone; what is sound of it counts once more."""
    dataset = make_raw_dataset({f"case{seed}": make_pair(seed, 1)[:2] for seed in range(3)}, labels=LABELS)
    folder = tmp_path / "store"
    write_locked(folder, dataset, plan(1))
    (dataset.folder / "imagesTr" / "case2.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(FrameError, match="case2"):
            write_locked(folder, dataset, plan(1))
        assert not (folder / "store.json").exists()
    Image.fromarray(make_pair(7, 1)[0]).save(dataset.folder / "imagesTr" / "case2.png")
    Image.fromarray(make_pair(7, 1)[1]).save(dataset.folder / "labelsTr" / "case2.png")
    write_locked(folder, dataset, plan(1))
    assert is_up_to_date(folder, dataset, plan(1))
    assert not list(folder.glob(".partial-*"))


def test_a_frame_of_another_size_than_its_mask_is_named(
    make_raw_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make_raw_dataset({"case": (make_pair(0, 1)[0], make_pair(1, 1)[1])}, labels=LABELS)
    with pytest.raises(FrameError, match=r"labelsTr/case\.png: found 51x62 px; wanted the 50x63 px"):
        write_locked(tmp_path / "store", dataset, plan(1))


def test_on_a_full_disk_the_frames_written_so_far_stay(
    make_raw_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    """The limit on a file's size stands for the end of the disk; a process of its own, since it cannot be lifted."""
    dataset = make_raw_dataset({f"case{seed}": make_pair(seed, 1)[:2] for seed in range(5)}, labels=LABELS)
    write_locked(tmp_path / "whole", dataset, plan(1))
    limit = (tmp_path / "whole" / "frames.bin").stat().st_size * 2 // 3
    code = f"""
import resource, signal
from pathlib import Path
from gwunet.data.writing import write_locked
from gwunet.dataset import Dataset
from gwunet.errors import OutputError
from gwunet.exposed_field import Border
from gwunet.plans import Preprocessing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
preprocessing = Preprocessing(borders={{"uint8": Border(level=15.0, threshold=20.0, spread=2.0)}})
try:
    write_locked(Path({str(tmp_path / "full")!r}), Dataset.open(Path({str(dataset.folder)!r})), preprocessing)
except OutputError as problem:
    print(problem)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no more can be written there (File too large)" in done.stdout
    assert "free some, then run again" in done.stdout
    read: list[int] = []

    def progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
        read.append(total)
        return items

    write_locked(tmp_path / "full", dataset, plan(1), progress=progress)
    assert 0 < read[0] < 5
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")


def test_a_digest_is_of_what_the_store_holds_of_the_cases_alone(
    make_raw_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    """Not of where it lies, nor of when the files were written."""
    made = {f"case{seed}": make_pair(seed, 1)[:2] for seed in range(3)}
    changed = made["case1"][1].copy()
    changed[24, 30] = 1 - changed[24, 30] % 2
    two = {name: made[name] for name in ("case1", "case2")}

    def digests(pairs: Pairs) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_locked(folder, make_raw_dataset(pairs, labels=LABELS), plan(1))
        store = PreprocessedStore(folder)
        return [store.digest(names) for names in (["case1", "case2"], ["case2", "case1"], ["case2"], ["case1"])]

    both, reverse, second, first = digests(made)
    assert both == reverse
    assert len({both, second, first}) == 3
    for folder in (tmp_path / "raw").iterdir():
        shutil.rmtree(folder)
    assert digests(two) == [both, both, second, first]
    for folder in (tmp_path / "raw").iterdir():
        shutil.rmtree(folder)
    others = digests(two | {"case1": (made["case1"][0], changed)})
    assert others[2] == second
    assert not {*others} & {both, first}
