"""A folder takes its place whole, or what stood there stays."""

import errno
from pathlib import Path

import pytest

from gwunet.errors import OutputError
from gwunet.io.whole_folder import WholeFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file in it."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "earlier.txt").write_text("earlier")
    return made


def write(folder: Path, replace: bool) -> None:
    with WholeFolder(folder, replace=replace) as whole:
        (whole.partial / "later.txt").write_text("later")
        whole.finish()


def test_a_folder_is_replaced_only_where_that_is_asked_for(folder: Path) -> None:
    with pytest.raises(OutputError, match=f"{folder}: cannot be made .*check what is in its place"):
        write(folder, replace=False)
    assert [path.name for path in folder.iterdir()] == ["earlier.txt"]
    write(folder, replace=True)
    assert [path.name for path in folder.iterdir()] == ["later.txt"]
    assert list(folder.parent.iterdir()) == [folder]


def test_what_stood_there_comes_back_where_it_cannot_be_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fails_once_whole(path: Path, target: Path) -> Path:
        if path.name == "whole":
            raise OSError(errno.EIO, "the disk is gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_once_whole)
    with pytest.raises(OutputError, match="the disk is gone"):
        write(folder, replace=True)
    assert (folder / "earlier.txt").read_text() == "earlier"
    assert list(folder.parent.iterdir()) == [folder]


def test_nothing_is_written_before_or_after(folder: Path) -> None:
    whole = WholeFolder(folder.parent / "new")
    with pytest.raises(ValueError, match="inside the with block only"):
        _ = whole.partial
    with whole:
        whole.finish()
        with pytest.raises(ValueError, match="before finish"):
            whole.finish()
    assert (folder.parent / "new").is_dir()
