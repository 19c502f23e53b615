"""Two simulated datasets of quite different kinds, planned, trained and scored by the installed commands.

    python benchmarks/simulated_kinds.py -o OUT [--minutes 3] [--kinds fine coarse] [--device cpu]

Nothing is set by hand for either: each is planned from what its own frames measure. Fold 0 of fganet is trained for so
many minutes, patients that were never in training are predicted, and pooled metrics are printed as a Markdown table.
A kind that is scored in OUT already is not done again.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from gwunet.device import available_cores
from gwunet.errors import UsageError
from gwunet.jsonio import read_json
from gwunet.plans import Plans
from shared.installed import run_installed

CONFIGURATION = "fganet"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A dataset to simulate."""

    identifier: int
    says: str
    flags: tuple[str, ...]
    """Of ``gw_synthesize``."""


KINDS = {
    "fine": Kind(
        identifier=911,
        says="16 bits, 384x512, rectangular field with a flat border of 15, one thin wire; one patient to learn from",
        flags=(
            *("--patients", "2", "--test_patients", "1", "--sequences", "3", "--frames", "40"),
            *("--size", "384x512", "--bits", "16", "--border", "15", "--collimator", "rectangular"),
            *("--wires", "1", "--wire_width", "1.5", "2.5"),
        ),
    ),
    "coarse": Kind(
        identifier=912,
        says="8 bits through JPEG, 320x320, circular field, two wires of 5 to 8 px; twenty patients to learn from",
        flags=(
            *("--patients", "25", "--test_patients", "5", "--sequences", "1", "--frames", "5"),
            *("--size", "320", "--border", "jpeg", "--collimator", "circular"),
            *("--wires", "2", "--wire_width", "5", "8"),
        ),
    ),
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--minutes", type=float, default=3.0, help="of training each")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--synthesize",
        nargs=argparse.REMAINDER,
        default=[],
        help="last: flags of gw_synthesize that overrule the kinds', as --size 96 for a quick trial",
    )
    arguments = parser.parse_args(argv)
    output = arguments.output.resolve()
    settings = {"minutes": arguments.minutes, "device": arguments.device, "synthesize": arguments.synthesize}
    scores = [score(output / name, KINDS[name], settings) for name in arguments.kinds]
    print(f"fganet, fold 0, {arguments.minutes:g} minutes of training each, {available_cores()} cores")
    if arguments.synthesize:
        print(f"a trial: the kinds' datasets were overruled by {' '.join(arguments.synthesize)}")
    print()
    print(table(list(arguments.kinds), scores))


def score(folder: Path, kind: Kind, settings: dict[str, Any]) -> dict[str, Any]:
    """What the commands make of a kind; read from ``folder`` where they have run.

    Raises:
        UsageError: ``folder`` was made with other settings.
    """
    path = folder / "score.json"
    wanted = {"kind": kind.says, "flags": list(kind.flags), **settings}
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        if found["settings"] != wanted:
            raise UsageError(f"{path}: made with {found['settings']}, wanted {wanted}; choose another -o")
        return found
    number = str(kind.identifier)
    here = ("--workspace", str(folder))
    device = settings["device"]
    target = () if device == "auto" else ("--target_device", device.split(":")[0])
    name = f"Dataset{number}_Simulated"
    raw = folder / "raw" / name
    masks, summary = folder / "masks", folder / "summary.json"
    cores = ("-np", str(available_cores()))
    start = time.perf_counter()
    run_installed("gw_synthesize", number, *kind.flags, *settings["synthesize"], "--overwrite", *cores, *here)
    run_installed("gw_plan_and_preprocess", "-d", number, "-c", CONFIGURATION, "--clean", *target, *here)
    training = ("--minutes", str(settings["minutes"]), "--device", device, "--overwrite")
    run_installed("gw_train", number, "0", "-c", CONFIGURATION, *training, *here)
    where = ("-i", str(raw / "imagesTs"), "-o", str(masks))
    run_installed("gw_predict", *where, "-d", number, "-c", CONFIGURATION, "--device", device, *here)
    run_installed("gw_evaluate", "-r", str(raw / "labelsTs"), "-p", str(masks), "-o", str(summary))
    plan = read_json(Plans, folder / "preprocessed" / name / "plans.json").configuration(CONFIGURATION)
    evaluated = json.loads(summary.read_text())
    made = {
        "settings": wanted,
        "says": kind.says,
        "patch": list(plan.patch_size),
        "training_frames": len(list((raw / "imagesTr").iterdir())),
        "test_frames": evaluated["n_frames"],
        "pooled": {key: evaluated["pooled"][key] for key in ("dice", "precision", "recall")},
        "seconds": round(time.perf_counter() - start),
    }
    path.write_text(json.dumps(made, indent=1))
    return made


def table(names: list[str], scores: list[dict[str, Any]]) -> str:
    """The kinds' pooled metrics in Markdown."""
    head = "| kind | frames to learn from | patch | unseen frames | Dice | precision | recall | all steps |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name, made in zip(names, scores, strict=True):
        numbers = [f"{made['pooled'][key]:.3f}" for key in ("dice", "precision", "recall")]
        patch = "x".join(map(str, made["patch"]))
        cells = [f"{name}: {made['says']}", made["training_frames"], patch, made["test_frames"], *numbers]
        lines.append(f"| {' | '.join(map(str, cells))} | {made['seconds']} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
