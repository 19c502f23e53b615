"""``run.json``: what made the masks in a folder, how it went, and what does not fit what was there before."""

import dataclasses
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gwunet
from gwunet.errors import InterruptionError, SchemaError
from gwunet.inference.part import Part
from gwunet.inference.series import InSequence
from gwunet.io.spacing import PixelSpacing
from gwunet.jsonio import read_json

if TYPE_CHECKING:
    from gwunet.inference.frame_writer import FrameWriter
    from gwunet.inference.prediction import Wires
    from gwunet.inference.predictor import Predictor

SCHEMA_VERSION = 2
DIGEST = "sha256"
"""The key in a record's model: of the file, or by their folds of the checkpoints. Names stay when a model is trained
anew, weights do not."""
DIGITS_SHOWN = 12
NOT_OF_MASKS = ("overlay", "wires", "track")
"""Options that masks do not depend on; what is wanted by them is made of finished masks too."""

State = Literal["running", "finished", "interrupted", "failed"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A frame without a mask."""

    frame: str
    """As its mask would be called."""
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunFile:
    """A DICOM file or a video among the sources."""

    name: str
    """What the names of its masks begin with."""
    n_frames: int | None
    """None of a video, whose file may say a wrong number."""
    frame_time_ms: float | None
    """From one frame to the next; None where the file does not say."""
    spacing: PixelSpacing | None
    """None where the file does not say."""
    place: InSequence | None = None
    """Of a DICOM file with one frame, where its series puts it."""

    @property
    def is_numbered(self) -> bool:
        """Whether its frames are ``<name>_0000``, ``<name>_0001`` and so on."""
        return self.n_frames != 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What masks depend on besides the model, and what was written with them."""

    mirror: bool
    step: float
    threshold: float
    overlay: bool
    save_probabilities: bool
    wires: int | Literal["auto", "none"] = "none"
    """How many were looked for in a frame; in files from before they could be, none."""
    track: bool = False
    """Whether they kept their numbers along a sequence."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One command's work on a folder of masks."""

    schema_version: int
    state: State
    """``running`` in a file that nobody works on any more: the command was killed."""
    gwunet: str
    """Version."""
    python: str
    """Version."""
    runtime: str
    """What ran the network, with version and precision."""
    device: str
    """What ran the network: ``cpu``, ``cuda:N``, or another kind of device by ONNX Runtime's name for it."""
    batch_size: int
    """Tiles in one forward pass, at the end."""
    model: dict[str, Any]
    """What it is called by: dataset, configuration, folds; or the file. ``sha256`` has the digests of its weights."""
    options: RunOptions
    source: str
    """Name of the file or folder with the frames."""
    num_parts: int
    """How many commands share the frames."""
    part_id: int
    """Which of them this is, from 0."""
    runs: tuple[RunFile, ...]
    """DICOM files and videos."""
    n_frames: int
    """Masks written by this command."""
    n_finished_before: int
    """Masks that were there already."""
    finished_before_with: tuple[str, ...]
    """In what the options or the model of those masks differ from this file's."""
    failed: tuple[Failure, ...]
    seconds: float
    """From the first frame to the last mask; loading the model not counted."""
    frames_per_second: float | None
    ms_per_frame: float | None
    video_sha256: str | None = None
    """Of the video that was written last: by it the next command tells its own one from one among the frames."""


def versions() -> dict[str, Any]:
    """The fields of a record that are the same for every run of an installation."""
    return {"schema_version": SCHEMA_VERSION, "gwunet": gwunet.__version__, "python": platform.python_version()}


def options_of(predictor: "Predictor", writer: "FrameWriter", wires: "Wires | None", track: bool) -> RunOptions:
    """What the masks of a command depend on besides the model."""
    inference = predictor.inference
    return RunOptions(
        mirror=inference.mirror,
        step=inference.step,
        threshold=inference.threshold,
        overlay=writer.overlay,
        save_probabilities=writer.probabilities,
        wires=wires or "none",
        track=track,
    )


def state_of(problem: BaseException | None) -> State:
    """How a command has ended, by what it raised."""
    if problem is None:
        return "finished"
    return "interrupted" if isinstance(problem, InterruptionError | KeyboardInterrupt) else "failed"


def record_of(
    predictor: "Predictor",
    *,
    state: State,
    model: dict[str, Any],
    options: RunOptions,
    source: str,
    n_frames: int,
    failed: tuple[Failure, ...],
    seconds: float,
    part: Part | None = None,
    runs: tuple[RunFile, ...] = (),
    n_finished_before: int = 0,
    finished_before_with: tuple[str, ...] = (),
    own_pace: bool = True,
    video_sha256: str | None = None,
) -> RunRecord:
    """The record of a command.

    Args:
        predictor: what made the masks.
        part: of the frames; None where the command has all of them.
        own_pace: whether the time per frame says how fast the program is; without it somebody else sets the pace.
        state, model, options, source, n_frames, failed, seconds, runs, n_finished_before: as in ``RunRecord``.
        finished_before_with, video_sha256: as in ``RunRecord``.
    """
    part = part or Part()
    return RunRecord(
        **versions(),
        state=state,
        runtime=predictor.runtime,
        device=predictor.runs_on,
        batch_size=predictor.batch_size,
        model=model,
        options=options,
        source=source,
        num_parts=part.count,
        part_id=part.number,
        runs=runs,
        n_frames=n_frames,
        n_finished_before=n_finished_before,
        finished_before_with=finished_before_with,
        failed=failed,
        seconds=round(seconds, 3),
        frames_per_second=round(n_frames / seconds, 2) if own_pace and n_frames and seconds else None,
        ms_per_frame=round(1000 * seconds / n_frames, 2) if own_pace and n_frames else None,
        video_sha256=video_sha256,
    )


def read_record(path: Path) -> RunRecord:
    """The record at ``path``.

    Raises:
        SchemaError: it is missing, damaged or of another version.
    """
    record = read_json(RunRecord, path)
    if record.schema_version != SCHEMA_VERSION:
        raise SchemaError(f"{path}: schema_version: expected {SCHEMA_VERSION}, got {record.schema_version}")
    return record


def differences(earlier: RunRecord, model: dict[str, Any], options: RunOptions, runtime: str) -> tuple[str, ...]:
    """In words, where an earlier run's model and options were not these; also what that run itself had found."""
    before = {**earlier.model, **dataclasses.asdict(earlier.options), "runtime": earlier.runtime}
    now = {**model, **dataclasses.asdict(options), "runtime": runtime}
    keys = [key for key in before | now if key not in NOT_OF_MASKS and before.get(key) != now.get(key)]
    found = [_difference(key, before.get(key), now.get(key)) for key in keys]
    return tuple(dict.fromkeys([*earlier.finished_before_with, *found]))


def _difference(key: str, before: Any, now: Any) -> str:
    if key == DIGEST:
        return f"weights {in_short(before)} (now {in_short(now)})"
    return f"{key} {before} (now {now})"


def in_short(found: Any) -> str:
    """The SHA-256 of one file or, by their folds, of several, only as long as people compare them."""
    if isinstance(found, dict):
        return ", ".join(f"fold {fold} {str(digest)[:DIGITS_SHOWN]}" for fold, digest in found.items())
    return "not recorded" if found is None else str(found)[:DIGITS_SHOWN]
