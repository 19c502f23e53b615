"""Frames in nested folders with their masks as pictures, as many archives hold them."""

from pathlib import Path, PurePosixPath

from gwunet.convert.nested import add_frame, case_of, frames_below, visible_files
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.io.frames import FRAME_ENDINGS, read_frame, read_mask


def convert_masks(source: Path, writer: DatasetWriter, *, masks: Path) -> None:
    """Convert frames whose masks are pictures of 0 and 1, or of 0 and 255.

    A frame pairs with the mask of the same path below the other folder, whatever the endings. A frame without a mask
    goes to imagesTs. A pair that cannot be used, and a mask without a frame, is skipped with its reason.

    Args:
        source: folder of the frames; nested folders are patients and sequences.
        writer: the dataset to write to.
        masks: folder of the masks; it may lie in ``source``.

    Raises:
        UsageError: there is no such folder, or the frames lie in the masks' folder.
        DatasetError: two frames give a case the same name.
    """
    for folder, what in ((source, "a folder of frames"), (masks, "the folder of their masks (--masks)")):
        if not folder.is_dir():
            raise UsageError(f"{folder}: found no such folder; wanted {what}: check the path")
    if source.resolve().is_relative_to(masks.resolve()):
        raise UsageError(f"{masks}: found the frames in it; wanted a folder of masks alone (--masks): separate them")
    in_masks = set(visible_files(masks))
    by_case: dict[str, list[Path]] = {}
    for path in frames_below(masks):
        by_case.setdefault(case_of(_inside(path, masks)), []).append(path)
    known = {path.resolve() for path in in_masks}
    for path in visible_files(source):
        if path.resolve() in known:
            continue
        if path.suffix.lower() not in FRAME_ENDINGS:
            writer.skip(str(path), f"none of {', '.join(FRAME_ENDINGS)}", on_purpose=True)
            continue
        inside = _inside(path, source)
        _convert_one(path, inside, by_case.pop(case_of(inside), []), writer)
    for path in sorted(path for paths in by_case.values() for path in paths):
        writer.skip(str(path), f"found no frame for this mask; wanted one of the same path in {source}: add it")
    for path in sorted(in_masks - set(frames_below(masks))):
        writer.skip(str(path), f"none of {', '.join(FRAME_ENDINGS)}", on_purpose=True)


def _inside(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())


def _convert_one(path: Path, inside: PurePosixPath, masks: list[Path], writer: DatasetWriter) -> None:
    try:
        if len(masks) > 1:
            raise DatasetError(f"found the masks {', '.join(map(str, masks))}; wanted one: remove the others")
        frame = read_frame(path)
        mask = read_mask(masks[0]) if masks else None
        if mask is not None and mask.shape != frame.shape:
            raise FrameError(
                f"{masks[0]}: found {mask.shape[0]}x{mask.shape[1]} px for a frame of "
                f"{frame.shape[0]}x{frame.shape[1]} px; wanted one size: export the mask again"
            )
    except DatasetError as problem:
        writer.skip(str(path), str(problem).removeprefix(f"{path}: "))
    else:
        add_frame(writer, inside, frame, mask, str(path), picture=path)
