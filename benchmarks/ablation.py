"""The result tables of both papers, trained and scored here with an equal budget for every row.

    python benchmarks/ablation.py -o OUT [-d DATASET --workspace FOLDER] [--tables fganet_2 linknet_3] [--minutes 3]

Tables: fganet_1 (six networks), fganet_2 (BGA, SDA, loss), linknet_1 and linknet_2 (alpha and gamma of the loss),
linknet_3 (pretraining, U-Net; methods that are no networks stand as published). Without -d a small dataset is
simulated in OUT. The dataset is planned and preprocessed in OUT, with the folds that --workspace has for it.

A row is trained on a fold's training half and its last weights are scored on the other half, which decides nothing.
The budget is a time (--minutes: what each gets out of the same machine time) or a number of steps (--iterations: all
see equally many patches, as in the papers, whatever a step costs); the batch is the same for all rows of a table.

Writes OUT/rows/*.json, OUT/TABLE.md with the published figures beside these, and OUT/TABLE.png with bars as in Figure 7
of the FGA-Net paper. The same command goes on with what is there: a row done is not done again, a row broken off
continues.
"""

import argparse
import copy
import dataclasses
import hashlib
import json
import logging
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import gwunet
from gwunet.benchmark.measure import Conditions
from gwunet.benchmark.report import this_machine
from gwunet.cli.progress import bar
from gwunet.data.store import PreprocessedStore
from gwunet.dataset import Dataset
from gwunet.device import available_cores, keep_freed_memory, resolve_device
from gwunet.errors import GwunetError, NotPreparedError, TrainingError, UsageError
from gwunet.fingerprint import Fingerprint, source_of
from gwunet.jsonio import read_json, to_json, write_json
from gwunet.networks import NETWORKS
from gwunet.planning import target_machine
from gwunet.plans import Configuration, Plans, Spec
from gwunet.prepared import read_plans
from gwunet.progress import no_progress
from gwunet.splits import Grouping, Splits, load_splits
from gwunet.synthetic import synthesize_dataset
from gwunet.trained import fold_folder
from gwunet.trainers.history import read_epochs
from gwunet.training import TRAINERS, TrainConfig, has_begun, results_folder
from gwunet.workspace import Workspace
from shared.installed import without_folders
from shared.measured_tables import (
    Asked,
    Result,
    Results,
    draw_chart,
    groups_of,
    is_done,
    make_table,
    read_results,
    scored_frames,
)
from shared.tables import PAPER_RATIO, TABLES, Row, Table

SIMULATED = "Dataset902_Ablation"
PATIENTS, SEQUENCES, FRAMES, EDGE = 30, 1, 3, 256
"""Of the simulated dataset: six patients in a fold's validation half, the fewest for an interval."""
DEFAULT_MINUTES = 3.0
STAND_INS = {"-o": "OUT", "--workspace": "FOLDER", "--pretrained_weights": "FILE"}
"""For folders and files in the command line that stands above a table."""
INDEPENDENCE: dict[Grouping, str] = {
    "site": "no site in both halves",
    "patient": "no patient in both halves",
    "sequence": "no sequence in both halves",
    "frame blocks": "both halves are of the only sequence, frames next to each other, so the figures are too good",
    "none": "patients or sequences are in both halves, so the figures are too good",
}
"""What the validation frames share with those trained on."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A dataset with all that is planned for it."""

    workspace: Workspace
    raw: Dataset
    plans: Plans
    splits: Splits
    ratio: float
    """Background pixels for each wire pixel in its frames."""


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    keep_freed_memory()
    given = without_folders(sys.argv[1:] if argv is None else argv, STAND_INS)
    command = shlex.join(["python", "benchmarks/ablation.py", *given])
    try:
        failed = run(arguments, command)
    except GwunetError as problem:
        raise SystemExit(f"ablation.py: {problem}") from problem
    if failed:
        raise SystemExit("ablation.py: these rows have no figures:\n" + "\n".join(failed))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="folder for everything")
    parser.add_argument("-d", "--dataset", metavar="DATASET", help="id or folder name; default: simulate one")
    parser.add_argument("--workspace", type=Path, metavar="FOLDER", help="of the dataset")
    parser.add_argument("--tables", nargs="+", choices=tuple(TABLES), default=list(TABLES), help="default: all")
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="only rows whose name is one of these or begins with it: sda, gamma_2.5, gamma_2.5_alpha_100",
    )
    parser.add_argument("--folds", type=int, nargs="+", default=[0], help="default: 0")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of weights and patches; default: 0")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="M", help=f"of training a row; default: {DEFAULT_MINUTES:g}")
    length.add_argument("--iterations", type=int, metavar="N", help="training steps of a row, in place of a time")
    parser.add_argument("--batch_size", type=int, metavar="N", help="default: the smallest planned for a table's rows")
    parser.add_argument("--lr", type=float, help="learning rate of all rows; default: as planned for each")
    parser.add_argument(
        "--alpha_scale",
        choices=("measured", "published"),
        default="measured",
        help="measured (default): the alphas times the training frames' ratio of background to wire pixels over "
        f"the paper's {PAPER_RATIO:g}, since alpha weighs wire against background; published: the alphas as printed",
    )
    parser.add_argument(
        "--pretrained_weights",
        type=Path,
        metavar="FILE",
        help="as gw_train takes it, for the rows that the LinkNet paper starts from ImageNet",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N; default: auto")
    arguments = parser.parse_args(argv)
    if arguments.minutes is None and arguments.iterations is None:
        arguments.minutes = DEFAULT_MINUTES
    return arguments


def run(arguments: argparse.Namespace, command: str) -> list[str]:
    """Do what is not done yet and write each table; the rows that failed, with the reason."""
    output: Path = arguments.output
    chosen = chosen_rows(arguments)
    prepared = prepare(arguments, output)
    todo = [
        (table, row, fold, seed)
        for table, rows in chosen.items()
        for row in rows
        for fold in arguments.folds
        for seed in arguments.seeds
    ]
    failed = []
    for number, (table, row, fold, seed) in enumerate(todo, start=1):
        asked = ask(TABLES[table], row, fold, seed, prepared, arguments)
        path = output / "rows" / f"{table}__{row.name}__fold_{fold}__seed_{seed}.json"
        if not is_done(path, asked):
            print(f"{time.strftime('%H:%M')} {number} of {len(todo)}: {path.stem}", flush=True)
            try:
                write_json(path, do_row(TABLES[table], asked, prepared, arguments))
            except TrainingError as problem:  # the other rows are worth having all the same
                failed.append(f"{path.stem}: {problem}")
        if number == len(todo) or todo[number][0] != table:
            write_table(TABLES[table], output, prepared, arguments, command)
    return failed


def chosen_rows(arguments: argparse.Namespace) -> dict[str, list[Row]]:
    """The rows to train, by table, in the papers' order.

    Raises:
        UsageError: a name fits none.
    """
    names: list[str] | None = arguments.rows
    trainable = {
        table: [row for row in TABLES[table].rows if can_run(row, arguments.pretrained_weights)]
        for table in arguments.tables
    }
    for name in names or ():
        if not any(_fits(row, name) for rows in trainable.values() for row in rows):
            known = ", ".join(row.name for rows in trainable.values() for row in rows)
            raise UsageError(f"--rows {name}: no such row to train; known are {known}")
    return {
        table: [row for row in rows if names is None or any(_fits(row, name) for name in names)]
        for table, rows in trainable.items()
    }


def _fits(row: Row, name: str) -> bool:
    return row.name == name or row.name.startswith(f"{name}_")


def can_run(row: Row, pretrained_weights: Path | None) -> bool:
    """Whether there is something to train for the row."""
    return row.configuration is not None and (row.pretrained != "always" or pretrained_weights is not None)


# The dataset -----------------------------------------------------------------------------------------------------


def prepare(arguments: argparse.Namespace, output: Path) -> Prepared:
    """The dataset, planned and preprocessed in ``output`` for all tables asked for.

    What stands planned there is kept: a plan made anew for another amount of free memory could differ.
    """
    source = Workspace.find(output / "workspace" if arguments.dataset is None else arguments.workspace)
    if arguments.dataset is None and not (source.raw / SIMULATED).is_dir():
        size: dict[str, int] = {"patients": PATIENTS, "sequences": SEQUENCES, "frames": FRAMES, "size": EDGE}
        synthesize_dataset(source.raw / SIMULATED, **size, test_patients=0, processes=available_cores())
    name = source.dataset_name(arguments.dataset or SIMULATED)
    workspace = Workspace(raw=source.raw, preprocessed=output / "preprocessed", results=output / "results")
    folder = workspace.preprocessed / name
    theirs = source.preprocessed / name / "splits.json"
    if theirs.is_file() and not (folder / "splits.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(theirs, folder / "splits.json")
    wanted = {row.configuration for table in arguments.tables for row in TABLES[table].rows if row.configuration}
    raw = Dataset.open(workspace.raw_dataset(name))
    missing = wanted - _ready(workspace, raw)
    if missing:
        target = target_machine("cuda" if resolve_device(arguments.device).type == "cuda" else "cpu")
        gwunet.plan_dataset(
            name,
            workspace=workspace,
            configurations=sorted(missing),
            target=target,
            processes=available_cores(),
            preprocess=True,
        )
    return Prepared(
        workspace=workspace,
        raw=raw,
        plans=read_plans(workspace, name),
        splits=load_splits(folder / "splits.json", raw.training),
        ratio=read_json(Fingerprint, folder / "fingerprint.json").background_to_wire,
    )


def _ready(workspace: Workspace, raw: Dataset) -> set[str]:
    """The configurations planned already, where frames and masks have not changed and are preprocessed."""
    try:
        plans = read_plans(workspace, raw.name)
        store = PreprocessedStore(workspace.preprocessed / raw.name)
    except NotPreparedError:
        return set()
    current = plans.source == source_of(raw) and store.preprocessing == plans.preprocessing
    return set(plans.configurations) if current else set()


# One row ---------------------------------------------------------------------------------------------------------


def ask(table: Table, row: Row, fold: int, seed: int, prepared: Prepared, arguments: argparse.Namespace) -> Asked:
    """What the row is to be trained with."""
    assert row.configuration is not None
    plans = prepared.plans
    planned = plans.configuration(row.configuration)
    scale = prepared.ratio / PAPER_RATIO if arguments.alpha_scale == "measured" else 1.0
    weights: Path | None = arguments.pretrained_weights if row.pretrained != "never" else None
    return Asked(
        dataset=plans.dataset,
        source=plans.source or "unknown",
        fold=fold,
        cases=digest(prepared.splits.fold(fold)),
        configuration=row.configuration,
        plan=digest((dataclasses.replace(planned, decisions=()), plans.preprocessing)),
        loss=row.loss(scale) or planned.loss,
        batch_size=arguments.batch_size or smallest_batch(table, plans),
        learning_rate=arguments.lr or planned.optimiser.learning_rate,
        minutes=arguments.minutes,
        iterations=arguments.iterations,
        seed=seed,
        pretrained_weights=None if weights is None else weights_name(weights),
        device=device_name(arguments.device),
    )


def weights_name(path: Path) -> str:
    """A file's name with a digest of what is in it.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"--pretrained_weights {path}: no such file")
    with path.open("rb") as file:
        return f"{path.name} ({hashlib.file_digest(file, 'sha256').hexdigest()[:8]})"


def smallest_batch(table: Table, plans: Plans) -> int:
    """Of those planned for the table's rows, whichever of them are trained."""
    return min(plans.configuration(row.configuration).batch_size for row in table.rows if row.configuration)


def digest(content: Any) -> str:
    """Sixteen hexadecimal digits that differ where the content does."""
    return hashlib.sha256(json.dumps(to_json(content), sort_keys=True).encode()).hexdigest()[:16]


def device_name(device: str) -> str:
    """What the rows are trained on, for people."""
    machine = this_machine(Conditions(device=str(resolve_device(device))))
    return machine.gpu or f"{machine.processor}, {machine.cores} cores"


def do_row(table: Table, asked: Asked, prepared: Prepared, arguments: argparse.Namespace) -> Result:
    """Train, or go on, and score the fold's validation frames with the last weights.

    Raises:
        UsageError: the fold has no validation frames.
        TrainingError: the loss is no longer finite.
    """
    # The folder follows from all that decides the weights, so that nothing of other settings is ever gone on with, and
    # two tables that ask for the same share it.
    workspace = dataclasses.replace(prepared.workspace, results=prepared.workspace.results / digest(asked))
    planned = prepared.plans.configuration(asked.configuration)
    trainer = trainer_with(planned, asked.loss)
    folder = fold_folder(results_folder(workspace, asked.dataset, asked.configuration, trainer), asked.fold)
    summary = gwunet.train(
        asked.dataset,
        asked.fold,
        configuration=asked.configuration,
        trainer=trainer,
        workspace=workspace,
        options=TrainConfig(
            epochs=None if asked.iterations is None else 1,
            iterations=asked.iterations,
            minutes=asked.minutes,
            batch_size=asked.batch_size,
            learning_rate=asked.learning_rate,
            seed=asked.seed,
            device=arguments.device,
            pretrained_weights=None if asked.pretrained_weights is None else arguments.pretrained_weights,
        ),
        resume=has_begun(folder),
        progress=bar if sys.stderr.isatty() else no_progress,
    )
    if summary is None:
        raise UsageError(f"fold {asked.fold}: found no validation frames; choose another fold")
    scores = to_json(summary)
    epochs = read_epochs(folder)
    return Result(
        asked=asked,
        parameters=count_parameters(planned),
        iterations=epochs[-1].iteration,
        training_s=round(sum(epoch.seconds for epoch in epochs), 1),
        date=time.strftime("%Y-%m-%d"),
        figures={column.name: column.read(scores) for column in table.columns},
        frames=scored_frames(scores),
    )


def trainer_with(planned: Configuration, loss: Spec) -> str:
    """The planned trainer, or one registered here that differs in the loss alone."""
    if loss == planned.loss:
        return planned.trainer
    base: Any = TRAINERS.get(planned.trainer)
    values = "_".join(f"{value:.6g}" for value in loss.arguments.values())
    name = f"{planned.trainer}_{loss.name}_{values}"

    def defaults(self: Any, configuration: Configuration) -> Configuration:
        del self
        return dataclasses.replace(configuration, loss=copy.deepcopy(loss))

    if name not in TRAINERS.names():
        TRAINERS.register(name)(type(name, (base,), {"name": name, "defaults": defaults}))
    return name


def count_parameters(configuration: Configuration) -> int:
    with torch.device("meta"):
        network = NETWORKS.get(configuration.network.name)(**configuration.network.arguments)
    return sum(parameter.numel() for parameter in network.parameters())


# The tables ------------------------------------------------------------------------------------------------------


def write_table(table: Table, output: Path, prepared: Prepared, arguments: argparse.Namespace, command: str) -> None:
    """``TABLE.md`` and ``TABLE.png`` of every run of the table that is in ``output``."""
    done = read_results(table, output, lambda row, fold, seed: ask(table, row, fold, seed, prepared, arguments))
    if not done:
        return
    text = make_table(table, done, describe(table, done, prepared, arguments, command))
    (output / f"{table.name}.md").write_text(text, encoding="utf-8")
    draw_chart(table, done, output / f"{table.name}.png")
    print(text)


def describe(table: Table, done: Results, prepared: Prepared, arguments: argparse.Namespace, command: str) -> list[str]:
    """What stands above the tables."""
    runs = [run for runs in done.values() for run in runs]
    asked = runs[0].asked
    unit, group_of = groups_of(runs)
    folds, seeds = (sorted({getattr(run.asked, name) for run in runs}) for name in ("fold", "seed"))
    patches = {prepared.plans.configuration(run.asked.configuration).patch_size for run in runs}
    notes = [
        f"{asked.dataset}, {_numbered('fold', folds)} ({INDEPENDENCE[prepared.splits.grouping]}), "
        f"{_numbered('seed', seeds)}: {len(group_of)} validation frames of {len(set(group_of.values()))} {unit}s, "
        f"last weights. {asked.budget} of training for each row, batch {asked.batch_size}, patch "
        f"{' or '.join(f'{rows}x{columns}' for rows, columns in sorted(patches))}.",
        f"{asked.device}; gwunet {gwunet.__version__}, torch {torch.__version__}; "
        f"{', '.join(sorted({run.date for run in runs}))}.",
        f"`{command}`",
        table.departs,
    ]
    if any(row.alpha is not None for row in table.rows):
        factor = prepared.ratio / PAPER_RATIO if arguments.alpha_scale == "measured" else 1.0
        notes.append(
            f"Background to wire {prepared.ratio:.0f} to 1 here, {PAPER_RATIO:g} to 1 in the paper; alpha here = the "
            f"paper's times {factor:.3g}."
        )
    started = {run.asked.pretrained_weights for name, runs in done.items() for run in runs if _pretrained(table, name)}
    if started == {None}:
        notes.append("The paper starts from ImageNet; all rows here from fresh weights.")
    elif started:
        notes.append(f"Rows that start from ImageNet in the paper start from {', '.join(map(str, started))} here.")
    return notes


def _numbered(what: str, numbers: Sequence[int]) -> str:
    return f"{what}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _pretrained(table: Table, name: str) -> bool:
    return next(row for row in table.rows if row.name == name).pretrained != "never"


if __name__ == "__main__":
    main()
