"""Tables I and II of the LinkNet paper as a sweep: alpha of the balanced BCE, alpha and gamma of the focal loss.

    python benchmarks/focal_sweep.py -o OUT [-d DATASET --workspace FOLDER] [--minutes 3] [--rows II-2.5]

Trains the planned configuration linknet once for each row, on one fold of a planned dataset, and scores the fold's
validation frames: pooled precision, recall and F1 (Dice), on patients that were not trained on where the dataset
declares them. Without -d a small dataset is simulated in OUT. Everything is written to OUT; the same command goes on
with what is there: a row done is not done again, a row broken off continues.

Writes OUT/rows/ROW.json, and OUT/focal_sweep.md with the published figures beside these.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import platform
import time
from pathlib import Path
from typing import Any

import torch

import gwunet
from gwunet.checkpoint import LATEST
from gwunet.dataset import Dataset
from gwunet.device import available_cores, keep_freed_memory, resolve_device
from gwunet.errors import GwunetError, UsageError
from gwunet.fingerprint import Fingerprint
from gwunet.jsonio import read_json, to_json, write_json
from gwunet.planning import read_plans, target_machine
from gwunet.plans import Configuration, Plans, Spec
from gwunet.splits import Fold, Grouping, load_splits
from gwunet.synthetic import synthesize_dataset
from gwunet.trainers.linknet import LinkNetTrainer
from gwunet.training import TRAINERS, TrainConfig, results_folder
from gwunet.workspace import Workspace

CONFIGURATION = "linknet"
SIMULATED = "Dataset902_FocalSweep"
PAPER_RATIO = 1000.0
"""Background pixels for each wire pixel in the paper's frames; its alphas are for this."""
INDEPENDENCE: dict[Grouping, str] = {
    "patient": "no patient in both halves",
    "sequence": "no sequence in both halves",
    "frame blocks": "both halves are of the only sequence, frames next to each other, so the figures are too good",
    "none": "patients or sequences are in both halves, so the figures are too good",
}
"""What the validation frames share with those trained on."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A published row."""

    gamma: float
    """0 in table I, the balanced BCE."""
    alpha: float
    precision: float | None = None
    """None in table I, which gives F1 alone."""
    recall: float | None = None
    f1: float

    @property
    def table(self) -> str:
        return "II" if self.gamma else "I"

    @property
    def name(self) -> str:
        """As ``--rows`` and the files know it: ``I-100``, ``II-2.5-100``."""
        return f"II-{self.gamma:g}-{self.alpha:g}" if self.gamma else f"I-{self.alpha:g}"

    def loss(self, scale: float) -> Spec:
        alpha = self.alpha * scale
        if self.gamma:
            return Spec(name="ModifiedFocalLoss", arguments={"alpha": alpha, "gamma": self.gamma})
        return Spec(name="BalancedBCELoss", arguments={"alpha": alpha})


def _focal(gamma: float, *rows: tuple[float, float, float, float]) -> tuple[Row, ...]:
    return tuple(Row(gamma=gamma, alpha=alpha, precision=p, recall=r, f1=f1) for alpha, p, r, f1 in rows)


ROWS = (
    *(
        Row(gamma=0, alpha=alpha, f1=f1)
        for alpha, f1 in ((50, 0.788), (100, 0.807), (200, 0.762), (500, 0.734), (1000, 0.701))
    ),
    *_focal(1.5, (10, 0.963, 0.822, 0.886), (20, 0.903, 0.905, 0.903), (50, 0.839, 0.987, 0.907)),
    *_focal(1.5, (75, 0.796, 0.993, 0.883)),
    *_focal(2, (20, 0.958, 0.809, 0.877), (50, 0.909, 0.925, 0.916), (75, 0.875, 0.958, 0.914)),
    *_focal(2, (100, 0.813, 0.998, 0.896)),
    *_focal(2.5, (50, 0.959, 0.880, 0.917), (75, 0.923, 0.931, 0.926), (100, 0.919, 0.946, 0.932)),
    *_focal(2.5, (125, 0.891, 0.962, 0.924)),
    *_focal(3, (100, 0.938, 0.861, 0.898), (125, 0.928, 0.899, 0.913), (150, 0.925, 0.932, 0.928)),
    *_focal(3, (200, 0.899, 0.953, 0.925)),
)
"""Zhou et al., Fully Automatic Dual-Guidewire Segmentation, tables I and II (a) to (d)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What must be the same for all rows of a table; kept in OUT/settings.json."""

    dataset: str
    raw: str | None
    """Its folder; None where it is simulated in OUT."""
    plan: str
    """Digest of the planned configuration, its preprocessing and the fold's frames."""
    device: str
    """Name of the machine's GPU, or of its processor with the number of cores."""
    fold: int
    minutes: float | None
    iterations: int | None
    seed: int
    pretrained_weights: str | None
    """Name of the file."""
    alpha_scale: float
    """The alphas trained with are the paper's times this."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A row as measured here; kept in OUT/rows."""

    row: str
    alpha: float
    """Trained with."""
    n_frames: int
    precision: float | None
    recall: float | None
    f1: float | None
    """Pooled over the validation frames; null where undefined."""


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    keep_freed_memory()
    try:
        sweep(arguments)
    except GwunetError as problem:
        raise SystemExit(f"focal_sweep.py: {problem}") from problem


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="folder for everything")
    parser.add_argument("-d", dest="dataset", metavar="DATASET", help="id or folder name; default: simulate one")
    parser.add_argument("--workspace", type=Path, metavar="FOLDER", help="of the dataset")
    parser.add_argument("--fold", type=int, default=0, help="default: 0")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="M", help="training time of a row; default: 3")
    length.add_argument("--iterations", type=int, metavar="N", help="training steps of a row, in place of a time")
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="only rows whose name is one of these or begins with it: I (table I), II-2.5 (gamma 2.5), II-2.5-100",
    )
    parser.add_argument(
        "--alpha_scale",
        choices=("measured", "published"),
        default="measured",
        help="measured (default): the alphas times the training frames' ratio of background to wire pixels over "
        f"the paper's {PAPER_RATIO:g}, since alpha weighs wire against background; published: the alphas as printed",
    )
    parser.add_argument(
        "--pretrained_weights", type=Path, metavar="FILE", help="as gw_train takes it; the paper starts from ImageNet"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and patches; default: 0")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N; default: auto")
    arguments = parser.parse_args(argv)
    if arguments.minutes is None and arguments.iterations is None:
        arguments.minutes = 3.0
    return arguments


def sweep(arguments: argparse.Namespace) -> None:
    """Train and score what is not done yet, and write the table after each row."""
    output: Path = arguments.output
    rows = chosen_rows(arguments.rows)
    workspace, dataset = find_dataset(arguments, output)
    prepared = workspace.preprocessed_dataset(dataset)
    plans = read_plans(workspace, dataset)
    raw = Dataset.open(workspace.raw_dataset(dataset))
    splits = load_splits(prepared / "splits.json", raw.training)
    ratio = read_json(Fingerprint, prepared / "fingerprint.json").background_to_wire
    settings = Settings(
        dataset=dataset,
        raw=None if arguments.dataset is None else str(raw.folder.resolve()),
        plan=digest(plans, splits.fold(arguments.fold)),
        device=device_name(arguments.device),
        fold=arguments.fold,
        minutes=arguments.minutes,
        iterations=arguments.iterations,
        seed=arguments.seed,
        pretrained_weights=None if arguments.pretrained_weights is None else arguments.pretrained_weights.name,
        alpha_scale=ratio / PAPER_RATIO if arguments.alpha_scale == "measured" else 1.0,
    )
    keep_settings(output / "settings.json", settings)
    notes = describe(settings, ratio, splits.grouping)
    for number, row in enumerate(rows, start=1):
        path = output / "rows" / f"{row.name}.json"
        if not path.is_file():
            print(f"row {number} of {len(rows)}: {row.name}", flush=True)
            write_json(path, train_row(row, settings, workspace, arguments))
        table = make_table(results(output), notes)
        (output / "focal_sweep.md").write_text(table, encoding="utf-8")
    print(table)


def chosen_rows(names: list[str] | None) -> list[Row]:
    """The rows asked for, in the tables' order.

    Raises:
        UsageError: a name fits none.
    """

    def fits(row: Row, name: str) -> bool:
        return row.name == name or row.name.startswith(f"{name}-")

    for name in names or ():
        if not any(fits(row, name) for row in ROWS):
            raise UsageError(f"--rows {name}: no such row; known are {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if names is None or any(fits(row, name) for name in names)]


def find_dataset(arguments: argparse.Namespace, output: Path) -> tuple[Workspace, str]:
    """The dataset and a workspace whose results are in ``output``; simulated where none is named."""
    if arguments.dataset is not None:
        workspace = Workspace.find(arguments.workspace)
        name = workspace.dataset_name(arguments.dataset)
    else:
        workspace, name = Workspace.find(output / "workspace"), SIMULATED
        if not (workspace.raw / name).is_dir():
            synthesize_dataset(
                workspace.raw / name,
                patients=10,
                test_patients=0,
                sequences=1,
                frames=6,
                size=256,
                processes=available_cores(),
            )
        if not (workspace.preprocessed / name / "store.json").is_file():
            target = target_machine("auto" if resolve_device(arguments.device).type == "cuda" else "cpu")
            gwunet.plan_dataset(name, workspace=workspace, configurations=[CONFIGURATION], target=target)
            gwunet.preprocess_dataset(name, workspace=workspace)
    return dataclasses.replace(workspace, results=output / "results"), name


def digest(plans: Plans, fold: Fold) -> str:
    """Of what is trained, but for the loss, on which frames; the reasons a planner gives are left out."""
    configuration = dataclasses.replace(plans.configuration(CONFIGURATION), decisions=())
    content = json.dumps(to_json((configuration, plans.preprocessing, fold)), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def device_name(device: str) -> str:
    """What the rows are trained on, for people."""
    resolved = resolve_device(device)
    if resolved.type == "cuda":
        return torch.cuda.get_device_name(resolved)
    return f"{available_cores()} cores, {platform.processor() or platform.machine()}"


def keep_settings(path: Path, settings: Settings) -> None:
    """Write the settings, or hold them against those of the rows that are there."""
    if not path.is_file():
        write_json(path, settings)
        return
    before = read_json(Settings, path)
    if before != settings:
        differing = [
            f"{field.name} {getattr(before, field.name)} there and {getattr(settings, field.name)} now"
            for field in dataclasses.fields(settings)
            if getattr(before, field.name) != getattr(settings, field.name)
        ]
        raise UsageError(f"{path.parent}: holds rows of other settings ({', '.join(differing)}); choose another -o")


def train_row(row: Row, settings: Settings, workspace: Workspace, arguments: argparse.Namespace) -> Result:
    """Train one row's loss and score the validation frames."""
    loss = row.loss(settings.alpha_scale)
    trainer = trainer_with(loss, f"FocalSweep_{row.name}")
    folder = results_folder(workspace, settings.dataset, CONFIGURATION, trainer) / f"fold_{settings.fold}"
    summary = gwunet.train(
        settings.dataset,
        settings.fold,
        configuration=CONFIGURATION,
        trainer=trainer,
        workspace=workspace,
        options=TrainConfig(
            epochs=None if settings.iterations is None else 1,
            iterations=settings.iterations,
            minutes=settings.minutes,
            seed=settings.seed,
            device=arguments.device,
            pretrained_weights=arguments.pretrained_weights,
        ),
        resume=(folder / LATEST).is_file(),
    )
    if summary is None:
        raise UsageError(f"fold {settings.fold}: found no validation frames; choose another fold")
    pooled = summary.pooled
    return Result(
        row=row.name,
        alpha=loss.arguments["alpha"],
        n_frames=summary.n_frames,
        precision=pooled.precision,
        recall=pooled.recall,
        f1=pooled.dice,
    )


def trainer_with(loss: Spec, name: str) -> str:
    """Register LinkNet's trainer with another loss than the planned one; each has a results folder of its own."""

    def defaults(self: LinkNetTrainer, configuration: Configuration) -> Configuration:
        del self
        return dataclasses.replace(configuration, loss=loss)

    if name not in TRAINERS.names():
        TRAINERS.register(name)(type(name, (LinkNetTrainer,), {"name": name, "defaults": defaults}))
    return name


def describe(settings: Settings, ratio: float, grouping: Grouping) -> list[str]:
    """What stands above the tables."""
    length = f"{settings.minutes:g} minutes" if settings.minutes is not None else f"{settings.iterations} iterations"
    return [
        f"{settings.dataset}, fold {settings.fold} ({INDEPENDENCE[grouping]}), configuration {CONFIGURATION}, "
        f"{length} for each row, seed {settings.seed}, start from {settings.pretrained_weights or 'fresh weights'}.",
        f"Background to wire {ratio:.0f} to 1 here, {PAPER_RATIO:g} to 1 in the paper; alpha here = the paper's times "
        f"{settings.alpha_scale:.3g}.",
        f"{settings.device}; torch {torch.__version__}; {time.strftime('%Y-%m-%d')}.",
    ]


def results(output: Path) -> dict[str, Result]:
    """Every row done so far, by name."""
    found = (read_json(Result, path) for path in sorted((output / "rows").glob("*.json")))
    return {result.row: result for result in found}


def make_table(done: dict[str, Result], notes: list[str]) -> str:
    """Markdown: for each gamma the published figures beside ours."""
    lines = ["# Alpha and gamma of the focal loss", "", *notes, ""]
    for gamma in sorted({row.gamma for row in ROWS}):
        rows = [row for row in ROWS if row.gamma == gamma and row.name in done]
        if not rows:
            continue
        lines += [f"## {f'Table II, gamma {gamma:g}' if gamma else 'Table I, alpha-balanced BCE'}", ""]
        lines += [
            "| paper: alpha | precision | recall | F1 | here: alpha | precision | recall | F1 |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            ours = done[row.name]
            published = (f"{row.alpha:g}", *map(_figure, (row.precision, row.recall, row.f1)))
            measured = (f"{ours.alpha:.3g}", *map(_figure, (ours.precision, ours.recall, ours.f1)))
            lines.append(f"| {' | '.join((*published, *measured))} |")
        lines.append("")
    best = max(done.values(), key=lambda result: result.f1 or 0.0)
    papers_best = max((row for row in ROWS if row.name in done), key=lambda row: row.f1)
    lines += [f"Best F1 of the rows above: {best.row} here, {papers_best.name} in the paper.", ""]
    return "\n".join(lines)


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
