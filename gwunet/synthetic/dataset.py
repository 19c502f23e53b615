"""A raw dataset of simulated sequences, with the truth in ``centrelines.json``."""

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

from gwunet.errors import OutputError, UsageError
from gwunet.io.frames import write_frame, write_mask
from gwunet.io.whole_folder import WholeFolder
from gwunet.jsonio import write_json
from gwunet.parallel import workers
from gwunet.progress import Progress, no_progress
from gwunet.synthetic.options import Border, Collimator, FrameOptions, Size, WireCount
from gwunet.synthetic.sequence import SimulatedWire, frames_of
from gwunet.synthetic.wire import WIDTH_RANGE_PX

TRUTH_NAME = "centrelines.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What makes a simulated dataset; the same recipe gives the same files."""

    patients: int
    sequences: int
    frames: int
    options: FrameOptions
    seed: int
    test_patients: int

    def check(self) -> None:
        """Raises ``UsageError`` for values that cannot work."""
        least = {"patients": 1, "sequences": 1, "frames": 1, "seed": 0, "test_patients": 0}
        for name, limit in least.items():
            if getattr(self, name) < limit:
                raise UsageError(f"{name}: found {getattr(self, name)}, wanted at least {limit}")
        self.options.check()
        if self.test_patients >= self.patients:
            raise UsageError(
                f"test_patients: found {self.test_patients}, wanted fewer than the {self.patients} patients"
            )

    def description(self) -> dict[str, Any]:
        """For ``dataset.json``: the arguments of ``synthesize_dataset`` that make the same files."""
        return {
            "patients": self.patients,
            "sequences": self.sequences,
            "frames": self.frames,
            **self.options.asked,
            "seed": self.seed,
            "test_patients": self.test_patients,
        }


def synthesize_dataset(
    folder: Path,
    *,
    patients: int = 10,
    sequences: int = 2,
    frames: int = 8,
    size: Size = 512,
    wires: WireCount = "mixed",
    bits: int = 8,
    border: Border = "random",
    collimator: Collimator = "random",
    wire_width: tuple[float, float] = WIDTH_RANGE_PX,
    seed: int = 0,
    test_patients: int | None = None,
    overwrite: bool = False,
    processes: int = 1,
    progress: Progress = no_progress,
) -> None:
    """Simulate a dataset; the same values give the same files, byte for byte, with any number of processes.

    A sequence depends on the seed, its patient and its number alone: with more patients or sequences the earlier ones
    stay as they are. Which of them are for testing is another matter: with the same ``test_patients``, the same.

    Args:
        folder: the dataset's folder, as ``raw/Dataset900_Simulated``; written beside it first and renamed when whole.
        patients: number of patients; the first ``test_patients`` of them are for testing.
        sequences: sequences of each patient.
        frames: frames of each sequence.
        size: edge of square frames, or rows and columns; at least 64, and no edge over four times the other.
        wires: guidewires in a sequence: 1, 2 (they cross), or "mixed".
        bits: of a grey level: 8, or 12 to 16, which are stored in 16-bit files.
        border: outside the exposed field: "random" is a black of 0 to 20 (of 255) with a little noise, drawn for each
            sequence; a level from 0 to 60 (of 255, scaled where there are more bits) is exactly that and flat; with
            "jpeg" it is drawn and frames go through JPEG compression, so that the field's edge rings; "none" leaves
            none.
        collimator: outline of the exposed field: "circular", "rectangular", "none", or "random": these, or a circle
            cut by blades, drawn for each sequence.
        wire_width: range in pixels, within 1.5 to 8, from which each wire's width is drawn.
        seed: any integer from 0.
        test_patients: patients kept out of training, in imagesTs; default: a fifth of the patients.
        overwrite: replace ``folder`` if it is a simulated dataset.
        processes: sequences simulated at the same time.
        progress: see ``gwunet.progress.Progress``; frames come sequence by sequence.

    Raises:
        UsageError: a value cannot work.
        OutputError: ``folder`` exists, or is not a simulated dataset and shall be overwritten, or cannot be written.
        DatasetError: a worker process died (out of memory, say).
    """
    recipe = Recipe(
        patients=patients,
        sequences=sequences,
        frames=frames,
        options=FrameOptions(
            size=_plain(size), wires=wires, bits=bits, border=border, collimator=collimator, wire_width=wire_width
        ),
        seed=seed,
        test_patients=patients // 5 if test_patients is None else test_patients,
    )
    recipe.check()
    with WholeFolder(folder, replace=overwrite) as whole:
        _check_free(folder, overwrite)  # here, as it asks about a name that there can be
        _write_dataset(whole.partial, folder, recipe, processes, progress)
        whole.finish()


def _plain(size: Size) -> Size:
    """An edge where rows and columns are equal."""
    return size if isinstance(size, int) or size[0] != size[1] else size[0]


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not overwrite:
        raise OutputError(f"{folder}: already exists; choose another name, or overwrite it (--overwrite)")
    if not (folder / TRUTH_NAME).is_file():
        raise OutputError(f"{folder}: has no {TRUTH_NAME}, so it is no simulated dataset; it is not overwritten")


def _write_dataset(partial: Path, folder: Path, recipe: Recipe, processes: int, progress: Progress) -> None:
    """Into ``partial``, what is to be ``folder``."""
    jobs = list(itertools.product(range(recipe.patients), range(recipe.sequences)))
    cases: dict[str, Any] = {}
    truth: dict[str, Any] = {}
    with workers(processes, len(jobs), str(folder), per_process=1) as run:
        sequences = run(functools.partial(_write_sequence, partial, recipe), jobs)
        written = itertools.chain.from_iterable(sequences)
        for case, group, wires in progress(written, len(jobs) * recipe.frames, "simulate"):
            cases[case], truth[case] = group, {"wires": wires}
    write_json(partial / TRUTH_NAME, {"schema_version": 1, "cases": truth})
    description = {
        "name": folder.name,
        "description": f"Fluoroscopy simulated by gwunet; the wires' true centrelines are in {TRUTH_NAME}",
        "channel_names": {"0": "fluoroscopy"},
        "labels": {"background": 0, "guidewire": 1},
        "file_ending": ".png",
        "numTraining": (recipe.patients - recipe.test_patients) * recipe.sequences * recipe.frames,
        "simulation": recipe.description(),
        "cases": cases,
    }
    write_json(partial / "dataset.json", description)


Written = list[tuple[str, dict[str, Any], list[dict[str, Any]]]]
"""Name, group and wires of the cases of a sequence."""


def _write_sequence(folder: Path, recipe: Recipe, job: tuple[int, int]) -> Written:
    patient, sequence = job
    half = "Ts" if patient < recipe.test_patients else "Tr"
    name = f"p{patient:03d}_s{sequence:02d}"
    simulated = frames_of(recipe.options, seed=recipe.seed, patient=patient, sequence=sequence, frames=recipe.frames)
    written: Written = []
    for number, frame in enumerate(simulated):
        case = f"{name}_f{number:04d}"
        write_frame(folder / f"images{half}" / f"{case}.png", frame.image)
        write_mask(folder / f"labels{half}" / f"{case}.png", frame.mask)
        group = {"patient": f"p{patient:03d}", "sequence": name, "frame": number}
        written.append((case, group, [_wire_json(wire) for wire in frame.wires]))
    return written


def _wire_json(wire: SimulatedWire) -> dict[str, Any]:
    centreline = [[round(float(row), 3), round(float(column), 3)] for row, column in wire.centreline]
    return {
        "centreline": centreline,
        "tip": centreline[-1],
        "width_px": round(float(wire.width_px), 3),
        "cnr": round(float(wire.cnr), 3),
    }
