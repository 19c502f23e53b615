"""gwunet against nnU-Net v2 in equal time: both train fold 0 for so many minutes on the same cores, in turn.

    python benchmarks/equal_time.py -o OUT --nnunet VENV --nnunet_trainer FILE --images IMAGES --masks MASKS
        [--minutes 10] [--seeds 0 1 2] [--rows gwunet nnunet nnunet_small] [--datasets real simulated]
        [--nnunet_mirroring]

real is a folder of pictures with a folder of masks of equal names; simulated is made in OUT (20 patients). Both
programs train on the same frames, predict the same validation frames with their own command, and are scored by
gw_evaluate. VENV is a virtual environment with nnU-Net v2; FILE holds a trainer of its that stops after TIMED_SECONDS,
makes TIMED_ITERATIONS steps in an epoch and prints "TIMED steps=N seconds=S" at the end; the class has the file's name.

Rows: gwunet and nnunet each with their own plan; nnunet_small with a plan cut in batch, then in patch, until 200
iterations fit the time by a short measurement. gwunet predicts as it planned (mirrored copies too where the plan has
them), nnU-Net without mirrored copies unless --nnunet_mirroring is given.

Writes OUT/rows/*.json and OUT/equal_time.md. The same command goes on with what is there: a row done is not done again,
a row broken off is done anew.
"""

import argparse
import dataclasses
import json
import math
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gwunet.benchmark.measure import Conditions
from gwunet.benchmark.report import this_machine
from gwunet.dataset import Dataset
from gwunet.device import available_cores
from gwunet.errors import GwunetError, UsageError
from gwunet.evaluation.resampling import Unit, groups_of_frames, interval_of_mean
from gwunet.io.frames import write_frame
from gwunet.jsonio import parse_json, read_json, write_json
from gwunet.plans import Plans
from gwunet.splits import Fold, Splits
from gwunet.synthetic import synthesize_dataset
from gwunet.trained import fold_folder
from gwunet.trainers.history import read_epochs
from shared.datasets import copy_pairs
from shared.installed import installed, without_folders
from shared.means import mean_of_known
from shared.nnunet import Peer, copy_for_nnunet, read_timed, run_logged

DATASETS = {"real": "Dataset921_Real", "simulated": "Dataset922_Simulated"}
PROGRAMS = ("gwunet", "nnunet", "nnunet_small")
CONFIGURATION = "fganet"
FOLD = 0
PLANS, SMALL_PLANS = "nnUNetPlans", "nnUNetPlans_small"

PATIENTS, SEQUENCES, FRAMES, EDGE = 20, 2, 4, 512
"""Of the simulated dataset."""
WANTED_ITERATIONS = 200
"""What nnunet_small's plan is cut for."""
EDGES = (512, 384, 320, 256, 192, 160, 128)
"""Patch edges tried for it; a patch below 128 shows hardly more than a piece of a wire."""
SMALL_BATCH = 2
BOTTLENECK = 4
"""nnU-Net halves a patch down to this edge."""
TIMED_STEPS = 6
"""Steps of a measurement."""
EPOCHS = 3
"""About so many epochs at least in nnU-Net's time: it stops at an epoch's end, so fewer would go far beyond the time,
and every epoch has two validation steps, so more would cost a slow plan its training. 25 steps at most in each."""
COMPARED = ("dice", "cldice")
STAND_INS = {"-o": "OUT", "--nnunet": "VENV", "--nnunet_trainer": "FILE", "--images": "IMAGES", "--masks": "MASKS"}
"""For folders and files in the command line that stands above the table."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Scores of one validation frame."""

    case: str
    group: str
    """Its patient, or its sequence where patients are not known or there is one alone."""
    dice: float | None
    cldice: float | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One training with its scores; kept in OUT/rows."""

    dataset: str
    program: str
    seed: int
    minutes: float
    """Asked for."""
    nnunet_mirroring: bool
    """Whether nnU-Net predicts mirrored copies too."""
    plan: str
    iterations: int
    training_s: float
    """In the training loop, with the validation inside it."""
    command_s: float
    """The training command from start to end."""
    predict_s: float
    dice: float | None
    """Pooled over the validation frames, as clDice."""
    cldice: float | None
    unit: Unit
    """What a frame's group is."""
    frames: tuple[Frame, ...]

    @property
    def name(self) -> str:
        return f"{self.dataset}_{self.program}_{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PeerPlan:
    """A plan of nnU-Net's and how fast it trains; kept in OUT/nnunet."""

    says: str
    step_s: float
    """Measured."""
    fits: int
    """Iterations that fit the time by this measurement."""

    def steps_of_epoch(self, seconds: float) -> int:
        return max(1, min(25, math.ceil(seconds / EPOCHS / self.step_s)))


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    try:
        compare(arguments, argv)
    except GwunetError as problem:
        raise SystemExit(f"equal_time.py: {problem}") from problem


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="folder for everything")
    parser.add_argument("--nnunet", type=Path, required=True, metavar="VENV", help="environment with nnU-Net v2")
    parser.add_argument("--nnunet_trainer", type=Path, required=True, metavar="FILE", help="its trainer, see above")
    parser.add_argument("--images", type=Path, help="folder of the real frames")
    parser.add_argument("--masks", type=Path, help="folder of their masks")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each; default: 10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", dest="programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--datasets", nargs="+", choices=tuple(DATASETS), default=list(DATASETS))
    parser.add_argument(
        "--nnunet_mirroring",
        action="store_true",
        help="let nnU-Net predict mirrored copies too, as it does by default; four times as long",
    )
    arguments = parser.parse_args(argv)
    if not arguments.minutes > 0:
        parser.error(f"--minutes {arguments.minutes:g}: wanted more than 0")
    return arguments


def compare(arguments: argparse.Namespace, argv: list[str] | None) -> None:
    """Do what is not done yet, one training at a time, and write the table after each."""
    output: Path = arguments.output.resolve()
    peer = Peer(venv=arguments.nnunet.absolute(), trainer=arguments.nnunet_trainer, folder=output / "nnunet")
    peer = dataclasses.replace(peer, mirroring=arguments.nnunet_mirroring)
    peer.check()
    given = without_folders(sys.argv[1:] if argv is None else argv, STAND_INS)
    command = shlex.join(["python", "benchmarks/equal_time.py", *given])
    notes = describe(arguments.minutes, peer, command)
    for dataset in arguments.datasets:
        make_dataset(dataset, output, arguments.images, arguments.masks)
        prepare(dataset, output, peer)
        for seed in arguments.seeds:
            for program in arguments.programs:
                path = output / "rows" / f"{dataset}_{program}_{seed}.json"
                if not is_done(path, arguments.minutes, arguments.nnunet_mirroring):
                    print(f"{time.strftime('%H:%M')} {path.stem}", flush=True)
                    write_json(path, do_row(dataset, program, seed, arguments.minutes, output, peer))
                (output / "equal_time.md").write_text(make_table(read_rows(output / "rows"), notes), encoding="utf-8")
    print((output / "equal_time.md").read_text(encoding="utf-8"))


def is_done(path: Path, minutes: float, nnunet_mirroring: bool) -> bool:
    """Whether there is a row.

    Raises:
        UsageError: it had another time or another prediction.
    """
    if not path.is_file():
        return False
    before = read_json(Row, path)
    found, wanted = ((before.minutes, before.nnunet_mirroring), (minutes, nnunet_mirroring))
    if found != wanted:
        said = [f"{time:g} minutes, nnU-Net {_with(mirroring)} mirroring" for time, mirroring in (found, wanted)]
        raise UsageError(f"{path}: found a row of {said[0]}; wanted {said[1]}; choose another -o")
    return True


def read_rows(folder: Path) -> list[Row]:
    return [read_json(Row, path) for path in sorted(folder.glob("*.json"))]


# Datasets --------------------------------------------------------------------------------------------------------


def make_dataset(dataset: str, output: Path, images: Path | None, masks: Path | None) -> None:
    """The dataset in gwunet's raw folder, where it is not there yet.

    Raises:
        UsageError: the real frames are wanted and no folders were named.
    """
    folder = output / "workspace" / "raw" / DATASETS[dataset]
    if folder.is_dir():
        return
    if dataset == "simulated":
        synthesize_dataset(
            folder,
            patients=PATIENTS,
            test_patients=0,
            sequences=SEQUENCES,
            frames=FRAMES,
            size=EDGE,
            processes=available_cores(),
        )
        return
    if images is None or masks is None:
        raise UsageError("--datasets real: wanted --images and --masks, the folders of the real frames and their masks")
    copy_pairs(images, masks, folder)


def prepare(dataset: str, output: Path, peer: Peer) -> None:
    """Plan and preprocess with both programs; the validation frames in a folder for each; one list of folds."""
    name = DATASETS[dataset]
    workspace = output / "workspace"
    prepared, peers = workspace / "preprocessed" / name, peer.folder / "preprocessed" / name
    cores = str(available_cores())
    if (peers / "splits_final.json").is_file():  # written last
        return
    number = name[7:10]
    ours = ("-d", number, "-c", CONFIGURATION, "--target_device", "cpu", "-np", cores, "--clean")
    run_logged(
        [installed("gw_plan_and_preprocess"), *ours, "--workspace", str(workspace)],
        output / f"{dataset}_plan_gwunet.log",
    )
    splits = read_json(Splits, prepared / "splits.json")
    raw = Dataset.open(workspace / "raw" / name)
    copy_for_nnunet(raw, peer.folder / "raw" / name)
    copy_validation(raw, splits.fold(FOLD), output / f"{dataset}_validation")
    shutil.rmtree(peers, ignore_errors=True)
    flags = ["-d", number, "-c", "2d", "--verify_dataset_integrity", "-npfp", cores, "-np", cores]
    log = output / f"{dataset}_plan_nnunet.log"
    run_logged([peer.command("nnUNetv2_plan_and_preprocess"), *flags], log, peer.environment())
    write_json(peers / "splits_final.json", nnunet_splits(splits))


def nnunet_splits(splits: Splits) -> list[dict[str, list[str]]]:
    """All folds as nnU-Net's bare list; by patient or sequence, where its own list would be by frame."""
    return [{"train": list(fold.train), "val": list(fold.val)} for fold in splits.folds]


def copy_validation(raw: Dataset, fold: Fold, folder: Path) -> None:
    """The fold's validation frames, once as gw_predict wants their names and once as nnU-Net does."""
    shutil.rmtree(folder, ignore_errors=True)
    for case in raw.training:
        if case.name in fold.val:
            for program, suffix in (("gwunet", ""), ("nnunet", "_0000")):
                (folder / program).mkdir(parents=True, exist_ok=True)
                write_frame(folder / program / f"{case.name}{suffix}.png", raw.read_frame(case))


# Training and scoring --------------------------------------------------------------------------------------------


def do_row(dataset: str, program: str, seed: int, minutes: float, output: Path, peer: Peer) -> Row:
    """Train, predict and score; what a row broken off has left is thrown away."""
    folder = output / "runs" / f"{dataset}_{program}_{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if program == "gwunet":
        measured = train_gwunet(dataset, seed, minutes, output, folder)
    else:
        measured = train_nnunet(dataset, program, seed, minutes, output, folder, peer)
    name = DATASETS[dataset]
    fold = read_json(Splits, output / "workspace" / "preprocessed" / name / "splits.json").fold(FOLD)
    scores = score(output / "workspace" / "raw" / name / "labelsTr", folder, fold)
    asked: dict[str, Any] = {"seed": seed, "minutes": minutes, "nnunet_mirroring": peer.mirroring}
    return Row(dataset=dataset, program=program, **asked, **measured, **scores)


def train_gwunet(dataset: str, seed: int, minutes: float, output: Path, folder: Path) -> dict[str, Any]:
    """Train and predict with the installed commands, everything as planned."""
    name, workspace = DATASETS[dataset], output / "workspace"
    model = ("-c", CONFIGURATION, "--device", "cpu", "--workspace", str(workspace))
    training = ("--minutes", str(minutes), "--seed", str(seed), "--overwrite")
    command_s = run_logged([installed("gw_train"), name, str(FOLD), *training, *model], folder / "train.log")
    where = ("-i", str(output / f"{dataset}_validation" / "gwunet"), "-o", str(folder / "masks"))
    command = [installed("gw_predict"), *where, "-d", name, "-f", str(FOLD), *model]
    predict_s = run_logged(command, folder / "predict.log")
    results = fold_folder(next((workspace / "results" / name).glob(f"{CONFIGURATION}__*")), FOLD)
    epochs = read_epochs(results)
    plan = read_json(Plans, workspace / "preprocessed" / name / "plans.json").configuration(CONFIGURATION)
    says = f"patch {_by(plan.patch_size)}, batch {plan.batch_size}"
    return {
        "plan": f"{says}, prediction {_with(plan.inference.mirror)} mirroring",
        "iterations": epochs[-1].iteration,
        "training_s": round(sum(epoch.seconds for epoch in epochs), 1),
        "command_s": round(command_s, 1),
        "predict_s": round(predict_s, 1),
    }


def train_nnunet(
    dataset: str, program: str, seed: int, minutes: float, output: Path, folder: Path, peer: Peer
) -> dict[str, Any]:
    """Train and predict with nnU-Net's commands, final weights."""
    name = DATASETS[dataset]
    plan = nnunet_plan(dataset, program, minutes, peer)
    plans = PLANS if program == "nnunet" else SMALL_PLANS
    seconds = minutes * 60
    log = folder / "train.log"
    command_s = run_logged(*peer.training(name, plans, seed, seconds, plan.steps_of_epoch(seconds), log))
    iterations, training_s = read_timed(log)
    where = ["-i", str(output / f"{dataset}_validation" / "nnunet"), "-o", str(folder / "masks")]
    model = ["-d", name, "-c", "2d", "-f", str(FOLD), "-tr", peer.trainer.stem, "-p", plans, "-device", "cpu"]
    flags = [*([] if peer.mirroring else ["--disable_tta"]), "-chk", "checkpoint_final.pth", "-npp", "1", "-nps", "1"]
    command = [peer.command("nnUNetv2_predict"), *where, *model, *flags]
    predict_s = run_logged(command, folder / "predict.log", peer.environment())
    shutil.rmtree(peer.folder / "results" / name)  # some hundred MB for each row
    return {
        "plan": f"{plan.says}, prediction {_with(peer.mirroring)} mirroring",
        "iterations": iterations,
        "training_s": training_s,
        "command_s": round(command_s, 1),
        "predict_s": round(predict_s, 1),
    }


def score(reference: Path, folder: Path, fold: Fold) -> dict[str, Any]:
    """What gw_evaluate says of ``folder``/masks, which must hold just the fold's validation frames.

    Raises:
        UsageError: frames are missing, or there are others.
    """
    summary_file = folder / "summary.json"
    where = ["-r", str(reference), "-p", str(folder / "masks"), "-o", str(summary_file), "--allow_missing"]
    run_logged([installed("gw_evaluate"), *where], folder / "evaluate.log")
    summary = parse_json(summary_file)
    scored = {frame["case"] for frame in summary["frames"]}
    if scored != set(fold.val):
        raise UsageError(
            f"{folder / 'masks'}: found {len(scored)} frames scored, wanted the {len(fold.val)} validation frames of "
            f"fold {FOLD}; these are in one alone: {', '.join(sorted(scored ^ set(fold.val)))}: see the logs beside it"
        )
    unit, group_of = groups_of_frames(summary["frames"])
    frames = tuple(
        Frame(
            case=frame["case"],
            group=group_of[frame["case"]],
            **{metric: frame[metric] for metric in COMPARED},
        )
        for frame in summary["frames"]
    )
    return {**{metric: summary["pooled"][metric] for metric in COMPARED}, "unit": unit, "frames": frames}


# nnU-Net's plans --------------------------------------------------------------------------------------------------


def nnunet_plan(dataset: str, program: str, minutes: float, peer: Peer) -> PeerPlan:
    """The plan to train with, its speed measured once and kept; nnunet_small's is chosen and written here."""
    path = peer.folder / f"{dataset}_{program}_{minutes:g}_minutes.json"
    if path.is_file():
        return read_json(PeerPlan, path)
    name = DATASETS[dataset]
    folder = peer.folder / "preprocessed" / name
    seconds = minutes * 60
    default = parse_json(folder / f"{PLANS}.json")
    if program == "nnunet":
        plan = _measured(default, name, PLANS, 2, seconds, peer)
    else:
        known = nnunet_plan(dataset, "nnunet", minutes, peer)
        for edge in candidates(_planned(default), known.step_s, seconds):
            cut = cut_plan(default, edge, SMALL_BATCH)
            write_json(folder / f"{SMALL_PLANS}.json", cut)
            plan = _measured(cut, name, SMALL_PLANS, TIMED_STEPS, seconds, peer)
            print(f"  {plan.says}: {plan.step_s:.2f} s a step", flush=True)
            if plan.fits >= WANTED_ITERATIONS:
                break
    write_json(path, plan)
    return plan


def _measured(plans: Mapping[str, Any], name: str, file: str, steps: int, seconds: float, peer: Peer) -> PeerPlan:
    """A plan with its speed by a training of one epoch, which has nnU-Net's own validation steps in it."""
    log = peer.folder / f"{name}_{file}_measured.log"
    run_logged(*peer.training(name, file, 0, 0.001, steps, log))
    done, spent = read_timed(log)
    planned = _planned(plans)
    stages = planned["architecture"]["arch_kwargs"]["n_stages"]
    says = f"patch {_by(planned['patch_size'])}, batch {planned['batch_size']}, {stages} stages"
    step_s = spent / done
    return PeerPlan(says=says, step_s=round(step_s, 3), fits=int(seconds / step_s))


def _planned(plans: Mapping[str, Any]) -> Mapping[str, Any]:
    configuration: Mapping[str, Any] = plans["configurations"]["2d"]
    return configuration


def candidates(planned: Mapping[str, Any], step_s: float, seconds: float) -> list[int]:
    """Patch edges to measure, largest first, without those that cannot come near the wanted iterations.

    The planned step's time goes with the pixels of a batch; what is over twice too slow by that is not measured.
    """
    rows, columns = planned["patch_size"]
    per_pixel = step_s / (planned["batch_size"] * rows * columns)
    edges = [edge for edge in EDGES if edge < max(rows, columns)]
    if planned["batch_size"] > SMALL_BATCH or not edges:  # else the planned patch would be the plan itself once more
        edges = [max(rows, columns), *edges]
    allowed = 2 * seconds / WANTED_ITERATIONS
    near = [edge for edge in edges if per_pixel * SMALL_BATCH * min(edge, rows) * min(edge, columns) <= allowed]
    return near or edges[-1:]


def cut_plan(plans: Mapping[str, Any], edge: int, batch: int) -> dict[str, Any]:
    """nnU-Net's plans with a smaller 2D patch and batch, and only the stages that such a patch can be halved for.

    Args:
        plans: nnU-Net's plans.json, parsed; not changed.
        edge: largest rows and columns of a patch, pixels.
        batch: largest batch.
    """
    cut: dict[str, Any] = json.loads(json.dumps(plans))
    cut["plans_name"] = SMALL_PLANS
    planned = cut["configurations"]["2d"]
    planned["batch_size"] = min(planned["batch_size"], batch)
    planned["patch_size"] = [min(planned_edge, edge) for planned_edge in planned["patch_size"]]
    network = planned["architecture"]["arch_kwargs"]
    # Strides of a stage stand for both axes; the first stage has 1.
    reached = np.cumprod(np.array(network["strides"]), axis=0)
    stages = int(np.sum(np.all(np.array(planned["patch_size"]) >= BOTTLENECK * reached, axis=1)))
    network["n_stages"] = stages
    for name in ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"):
        network[name] = network[name][:stages]
    network["n_conv_per_stage_decoder"] = network["n_conv_per_stage_decoder"][: stages - 1]
    return cut


# The table --------------------------------------------------------------------------------------------------------


def describe(minutes: float, peer: Peer, command: str) -> list[str]:
    """What stands above the tables."""
    machine = this_machine(Conditions(device="cpu"))
    asked = "from importlib.metadata import version as v; print(v('nnunetv2'), v('torch'))"
    nnunet, torch = subprocess.check_output([peer.command("python"), "-c", asked], text=True).split()
    return [
        f"{minutes:g} minutes of training each, one program after another, fold {FOLD}; {time.strftime('%Y-%m-%d')}; "
        f"{machine.processor}, {machine.cores} cores, CPU only; gwunet {machine.gwunet} with torch {machine.torch}, "
        f"nnU-Net {nnunet} with torch {torch}; Python {machine.python}.",
        "",
        f"`{command}`",
        "",
        "Training: seconds in the training loop, each program's validation inside it with it. gwunet's minutes also "
        "hold the measurement before it; nnU-Net goes on to the end of its epoch. Command: the training command as a "
        "whole; gwunet's validates fold 0 at the end, nnU-Net's is spared that. Scores: gw_evaluate on the fold's "
        "validation frames, pooled. A seed fixes gwunet's run, and of nnU-Net's the first weights; its patches come "
        "from processes that take no seed and differ by chance. Plans, nnU-Net's preprocessing and the measurement of "
        "its small plan are in no time given here.",
        "",
    ]


def make_table(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """Markdown: every row of a dataset, the means over seeds, and the differences of gwunet's frames to nnU-Net's."""
    lines = ["# gwunet and nnU-Net v2 in equal time", "", *notes]
    for dataset in DATASETS:
        of_dataset = [row for row in rows if row.dataset == dataset]
        if of_dataset:
            lines += _dataset_lines(dataset, of_dataset)
    return "\n".join(lines)


def _dataset_lines(dataset: str, rows: Sequence[Row]) -> list[str]:
    frames = rows[0].frames
    groups = len({frame.group for frame in frames})
    lines = [
        f"## {dataset}: {len(frames)} validation frames of {groups} {rows[0].unit}s",
        "",
        "| program | seed | iterations | s a step | training s | command s | predict s | Dice | clDice |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    by_program = {program: [row for row in rows if row.program == program] for program in PROGRAMS}
    by_program = {program: sorted(done, key=lambda row: row.seed) for program, done in by_program.items() if done}
    for program, done in by_program.items():
        for row in done:
            step = row.training_s / row.iterations
            times = f"{step:.3g} | {row.training_s:.0f} | {row.command_s:.0f} | {row.predict_s:.0f}"
            scores = f"{_figure(row.dice)} | {_figure(row.cldice)}"
            lines.append(f"| {program} | {row.seed} | {row.iterations} | {times} | {scores} |")
        means = " | ".join(_figure(mean_of_known(getattr(row, metric) for row in done)) for metric in COMPARED)
        lines.append(f"| **{program}** | mean of {len(done)} | | | | | | {means} |")
    lines += ["", *(f"- {name}: {'; '.join(_plans(done))}" for name, done in by_program.items()), ""]
    return [*lines, *_difference_lines(by_program)]


def _plans(rows: Iterable[Row]) -> list[str]:
    return sorted({row.plan for row in rows})


def _difference_lines(by_program: Mapping[str, Sequence[Row]]) -> list[str]:
    ours = by_program.get("gwunet", ())
    others = {name: theirs for name, theirs in by_program.items() if name != "gwunet"}
    lines = []
    for name, theirs in others.items():
        shared = {row.seed for row in ours} & {row.seed for row in theirs}
        if shared:
            seeds = ", ".join(map(str, sorted(shared)))
            pair = [[row for row in done if row.seed in shared] for done in (ours, theirs)]
            cells = " | ".join(_difference(metric, *pair) for metric in COMPARED)
            lines.append(f"| gwunet - {name} | {seeds} | {cells} |")
    heading = [
        "Difference of a frame, each program's mean over the seeds both have; 95 % interval from drawing whole groups:",
        "",
        "| | seeds | Dice | clDice |",
        "|---|---|---:|---:|",
    ]
    return [*heading, *lines, ""] if lines else []


def _difference(metric: str, ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    """Mean difference of the frames in words, with its interval."""
    by_group = differences(metric, ours, theirs)
    every = [value for values in by_group.values() for value in values]
    if not every:
        return ""
    interval = interval_of_mean(list(by_group.values()))
    said = "no interval below six groups" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
    return f"{statistics.fmean(every):+.3f} ({said})"


def differences(metric: str, ours: Sequence[Row], theirs: Sequence[Row]) -> dict[str, list[float]]:
    """Group -> for each of its frames our mean over the rows less theirs; frames without the metric are left out.

    Raises:
        UsageError: the rows have not all the same frames.
    """
    if len({tuple(frame.case for frame in row.frames) for row in (*ours, *theirs)}) > 1:
        named = ", ".join(row.name for row in (*ours, *theirs))
        raise UsageError(f"{named}: found different validation frames; wanted the same: remove the older rows")
    found: dict[str, list[float]] = {}
    for number, frame in enumerate(ours[0].frames):
        one, other = (mean_of_known(getattr(row.frames[number], metric) for row in rows) for rows in (ours, theirs))
        if one is not None and other is not None:
            found.setdefault(frame.group, []).append(one - other)
    return found


def _with(mirroring: bool) -> str:
    return "with" if mirroring else "without"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _by(edges: Iterable[int]) -> str:
    return "x".join(map(str, edges))


if __name__ == "__main__":
    main()
