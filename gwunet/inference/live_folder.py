"""Results of frames that come one after another, as files, and what made them: one session in one folder."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from gwunet.errors import UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.folder_wires import FolderWires
from gwunet.inference.frame_writer import OVERLAYS, FrameWriter
from gwunet.inference.live import LiveTally, frame_name
from gwunet.inference.own_results import OVERWRITE, has_record
from gwunet.inference.part import Part
from gwunet.inference.prediction import Prediction
from gwunet.inference.predictor import Predictor
from gwunet.inference.run_record import Failure, State, options_of, record_of, state_of
from gwunet.io.record_files import record_name, remove_other_records
from gwunet.jsonio import write_json

SOURCE = "-"
NAME = re.compile(r"frame_\d{6,}")
ENDINGS = (".png", ".npz")


def check_free(output: Path) -> None:
    """Raises ``UsageError`` where results are there already: a session that has been cannot be had again."""
    if output.is_file():
        raise UsageError(f"-o {output}: found a file; wanted a folder for the masks")
    found = next(_frames(output), None)
    if found is not None or has_record(output):
        what = "the run record of another command" if found is None else found.relative_to(output)
        raise UsageError(f"-o {output}: found {what}; wanted a folder of its own for each session: {OVERWRITE}")


def _frames(output: Path) -> Iterator[Path]:
    for folder in (output, output / OVERLAYS):
        if folder.is_dir():
            yield from (
                path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS and NAME.fullmatch(path.stem)
            )


class LiveFolder:
    """Writes what is found in each frame, and ``run.json`` from the first moment to the last."""

    def __init__(
        self,
        predictor: Predictor,
        writer: FrameWriter,
        tally: LiveTally,
        model: dict[str, Any],
        *,
        track: bool,
        wires: Any,
    ) -> None:
        """Nothing is written yet.

        Args:
            predictor: the model.
            writer: for the folder.
            tally: of the session.
            model: what the model is called by.
            track: whether wires keep their numbers.
            wires: how many are looked for; None for none.
        """
        self._predictor = predictor
        self._writer = writer
        self._path = writer.output / record_name(1, 0)
        self._tally = tally
        self._model = model
        self._wires = wires
        self._options = options_of(predictor, writer, wires, track)
        self._start = time.perf_counter()

    def keep(self, name: str, frame: Frame, prediction: Prediction) -> str:
        """Write the results of a frame; gives the path of its mask."""
        self._writer.write(name, frame, prediction)
        return str(self._writer.mask_path(name))

    def __enter__(self) -> Self:
        self._forget_earlier_results()
        self._start = time.perf_counter()
        self._write("running")
        remove_other_records(self._path)
        return self

    def _forget_earlier_results(self) -> None:
        """Of another session, or of a command whose frames had these names, which the user wants replaced."""
        output = self._writer.output
        if has_record(output):  # else the tables are somebody's
            FolderWires(self._writer, (), Part(), wires=self._wires).forget(lambda name: bool(NAME.fullmatch(name)))
        for path in _frames(output):
            path.unlink()

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        self._write(state_of(problem))

    def _write(self, state: State) -> None:
        tally = self._tally
        record = record_of(
            self._predictor,
            state=state,
            model=self._model,
            options=self._options,
            source=SOURCE,
            n_frames=tally.answered,
            failed=tuple(Failure(frame=frame_name(number), reason=why) for number, why in tally.reasons.items()),
            seconds=time.perf_counter() - self._start,
            own_pace=False,  # the sender's
        )
        write_json(self._path, record)
