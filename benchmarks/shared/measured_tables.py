"""The papers' tables as measured here: one run for each row, fold and seed, and the page that shows them."""

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gwunet.errors import UsageError
from gwunet.evaluation.paired import Difference, paired_difference
from gwunet.evaluation.resampling import Unit, groups_of_frames
from gwunet.jsonio import read_json
from gwunet.plans import Spec
from shared.bars import draw_bars
from shared.means import mean_of_known
from shared.tables import Row, Table


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """All that decides a row's figures; a row is kept only for what it was trained with."""

    dataset: str
    source: str
    """Digest of its frames and masks."""
    fold: int
    cases: str
    """Digest of the fold's two halves."""
    configuration: str
    plan: str
    """Digest of the planned configuration and its preprocessing, without the planner's reasons."""
    loss: Spec
    batch_size: int
    learning_rate: float
    minutes: float | None
    iterations: int | None
    seed: int
    pretrained_weights: str | None
    """Name of the file, with a digest."""
    device: str
    """Name of the machine's GPU, or of its processor with the number of cores."""

    @property
    def budget(self) -> str:
        """In words."""
        number, unit = (self.iterations, "iteration") if self.minutes is None else (self.minutes, "minute")
        return f"{number:.10g} {unit}{'' if number == 1 else 's'}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One validation frame."""

    case: str
    patient: str | None
    sequence: str | None
    dice: float | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A row trained on one fold with one seed; kept in OUT/rows."""

    asked: Asked
    parameters: int
    iterations: int
    training_s: float
    """In the training loop, with a look at some validation frames after each epoch inside it."""
    date: str
    figures: dict[str, float | None]
    """Column -> figure in the table's unit; null where undefined."""
    frames: tuple[Frame, ...]


Results = Mapping[str, Sequence[Result]]
"""Row -> its runs, by fold and seed."""


def is_done(path: Path, asked: Asked) -> bool:
    """Whether the row has been trained.

    Raises:
        UsageError: it was trained with other settings.
    """
    if not path.is_file():
        return False
    _check_same(path, read_json(Result, path).asked, asked)
    return True


def _check_same(path: Path, before: Asked, asked: Asked) -> None:
    differing = [
        f"{field.name} {getattr(before, field.name)} there and {getattr(asked, field.name)} now"
        for field in dataclasses.fields(asked)
        if getattr(before, field.name) != getattr(asked, field.name)
    ]
    if differing:
        raise UsageError(
            f"{path}: found a row of other settings ({', '.join(differing)}); choose another -o, or remove the row"
        )


def scored_frames(summary: Mapping[str, Any]) -> tuple[Frame, ...]:
    """The frames of a parsed ``summary.json``."""
    return tuple(
        Frame(case=each["case"], patient=each["patient"], sequence=each["sequence"], dice=each["dice"])
        for each in summary["frames"]
    )


def groups_of(runs: Iterable[Result]) -> tuple[Unit, dict[str, str]]:
    """What to draw of the frames of all folds together, and case -> its group.

    A fold's half alone may hold a single patient, and would be taken apart into sequences.
    """
    frames = {frame.case: frame for run in runs for frame in run.frames}
    return groups_of_frames([dataclasses.asdict(frame) for frame in frames.values()])


def read_results(table: Table, output: Path, ask: Callable[[Row, int, int], Asked]) -> Results:
    """Every run of the table's rows that is done, in the table's order.

    Args:
        table: as published.
        output: the folder that holds ``rows``.
        ask: what a row is to be trained with, by its fold and seed.

    Raises:
        UsageError: a run was trained with something else, also where this call did not ask for it.
    """
    done: dict[str, list[Result]] = {}
    for row in table.rows:
        for path in sorted((output / "rows").glob(f"{table.name}__{row.name}__fold_*.json")):
            run = read_json(Result, path)
            asked = ask(row, run.asked.fold, run.asked.seed)
            # Which rows start from ImageNet is said with the table, and not every call has the file.
            _check_same(path, run.asked, dataclasses.replace(asked, pretrained_weights=run.asked.pretrained_weights))
            done.setdefault(row.name, []).append(run)
    return done


def comparable(done: Results) -> Results:
    """The runs of the folds and seeds that every row has."""
    shared = set.intersection(*map(_pairs, done.values()))
    return {name: [run for run in runs if _pairs([run]) <= shared] for name, runs in done.items()}


def make_table(table: Table, done: Results, notes: Sequence[str]) -> str:
    """Markdown: the figures beside the published ones, how each row was trained, and differences by frame.

    Args:
        table: as published.
        done: its rows as measured, one at least.
        notes: paragraphs that stand above.
    """
    columns = [column.name for column in table.columns]
    lines = [
        f"# {table.title}",
        "",
        *(line for note in notes for line in (note, "")),
        "Each cell: here / in the paper, which had other frames.",
        "",
    ]
    lines += [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    compared = comparable(done)
    for row in table.rows:
        means = mean_figures(compared.get(row.name, ()), columns)
        cells = [f"{_figure(means[name], table)} / {_figure(row.published.get(name), table)}" for name in columns]
        lines.append(f"| {row.says} | {' | '.join(cells)} |")
    lines += [
        "",
        *_left_out_lines(table, done),
        *_best_lines(table, compared),
        *_training_lines(table, done),
        *_difference_lines(table, done),
    ]
    return "\n".join(lines)


def mean_figures(runs: Sequence[Result], columns: Iterable[str]) -> dict[str, float | None]:
    """Column -> mean over the runs that have it."""
    return {name: mean_of_known(run.figures[name] for run in runs) for name in columns}


def _left_out_lines(table: Table, done: Results) -> list[str]:
    """Where rows were trained on unlike folds or with unlike seeds."""
    shared = set.intersection(*map(_pairs, done.values()))
    if shared == set.union(*map(_pairs, done.values())):
        return []
    listed = ", ".join(f"fold {fold} with seed {seed}" for fold, seed in sorted(shared))
    means = (
        f"are means over what all rows have: {listed}" if shared else "are left out: no fold and seed is in all rows"
    )
    return [
        f"Rows were trained on unlike folds or seeds. Figures {means}; {table.overlap} of each run stands below.",
        "",
    ]


def _best_lines(table: Table, done: Results) -> list[str]:
    name = table.overlap
    says = {row.name: row.says for row in table.rows}
    here = {row: mean for row, runs in done.items() if (mean := mean_figures(runs, [name])[name]) is not None}
    if not here:
        return []
    paper = {row: table.published(row, name) or 0.0 for row in done}
    best, papers_best = (max(values, key=lambda row: values[row]) for values in (here, paper))
    return [f"Highest {name} of the rows trained: {says[best]} here, {says[papers_best]} in the paper.", ""]


def _training_lines(table: Table, done: Results) -> list[str]:
    name = table.overlap
    lines = [
        f"| | configuration | parameters, million | loss | learning rate | iterations | s a step | training s | {name} "
        "of each run |",
        "|---|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for row in table.rows:
        runs = done.get(row.name, ())
        if not runs:
            lines.append(f"| {row.says} | {'not trained' if row.configuration else 'no network'} | | | | | | | |")
            continue
        asked = runs[0].asked
        steps, seconds = (statistics.fmean(getattr(run, what) for run in runs) for what in ("iterations", "training_s"))
        arguments = ", ".join(f"{key} {value:.4g}" for key, value in asked.loss.arguments.items())
        cells = [
            asked.configuration,
            f"{runs[0].parameters / 1e6:.2f}",
            f"{asked.loss.name}{f' ({arguments})' if arguments else ''}",
            f"{asked.learning_rate:g}",
            f"{steps:.0f}",
            f"{seconds / steps:.3g}",
            f"{seconds:.0f}",
            ", ".join(_figure(run.figures[name], table) for run in runs),
        ]
        lines.append(f"| {row.says} | {' | '.join(cells)} |")
    return [*lines, ""]


def _difference_lines(table: Table, done: Results) -> list[str]:
    reference = done.get(table.reference)
    if reference is None or len(done) < 2:
        return []
    says = {row.name: row.says for row in table.rows}
    unit, _ = groups_of(reference)
    lines = [
        f'Dice of a frame less that of "{says[table.reference]}" on the same frame, fold and seed; the interval is the '
        f"95 % bootstrap over whole {unit}s, each row by itself:",
        "",
        f"| | here | interval | | paper's {table.overlap} |",
        "|---|---:|---|---|---:|",
    ]
    for name, runs in done.items():
        if name == table.reference:
            continue
        papers = [table.published(row, table.overlap) for row in (name, table.reference)]
        papers_difference = None if None in papers else papers[0] - papers[1]  # type: ignore[operator]
        found = difference(runs, reference)
        if found is None:
            cells = ["-", "-", "no frame in common"]
        else:
            limits = None if found.interval is None else [_signed(table.whole * x, table) for x in found.interval]
            cells = [
                _signed(table.whole * found.difference, table),
                "none below six groups" if limits is None else " to ".join(limits),
                found.verdict,
            ]
        lines.append(f"| {says[name]} | {' | '.join(cells)} | {_signed(papers_difference, table)} |")
    return [*lines, ""]


def difference(runs: Sequence[Result], reference: Sequence[Result]) -> Difference | None:
    """Dice of frames, the mean over the seeds that both have, less the reference's; None where they share no frame."""
    shared = _pairs(runs) & _pairs(reference)
    ours, theirs = (_by_case(each, shared) for each in (runs, reference))
    cases = ours.keys() & theirs.keys()
    if not cases:
        return None
    one, other = ({case: values[case] for case in cases} for values in (ours, theirs))
    unit, group_of = groups_of(reference)
    return paired_difference(("row", one), ("reference", other), "dice", group_of, unit)


def _pairs(runs: Sequence[Result]) -> set[tuple[int, int]]:
    return {(run.asked.fold, run.asked.seed) for run in runs}


def _by_case(runs: Sequence[Result], pairs: set[tuple[int, int]]) -> dict[str, float]:
    """Case -> its mean Dice over the runs of those folds and seeds."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if (run.asked.fold, run.asked.seed) in pairs:
            for frame in run.frames:
                if frame.dice is not None:
                    found.setdefault(frame.case, []).append(frame.dice)
    return {case: statistics.fmean(values) for case, values in found.items()}


def draw_chart(table: Table, done: Results, path: Path) -> None:
    """Bars for each row trained, lines for what is published."""
    columns = [column.name for column in table.columns]
    compared = comparable(done)
    here = {row.name: mean_figures(compared.get(row.name, ()), columns) for row in table.rows}
    if table.bars == "rows":
        rows = [row for row in table.rows if row.name in done]
        groups = columns
        measured = {row.says: [here[row.name][name] for name in columns] for row in rows}
        published = {row.says: [row.published.get(name) for name in columns] for row in rows}
    else:
        groups = [row.says.replace(", ", "\n").replace(" (", "\n(") for row in table.rows]
        measured = {name: [here[row.name][name] for row in table.rows] for name in columns}
        published = {name: [row.published.get(name) for row in table.rows] for name in columns}
    asked = next(iter(done.values()))[0].asked
    title = f"{table.title}\n{asked.dataset}, {asked.budget} of training for each row, {asked.device}"
    unit = "percent" if table.whole == 100 else ""
    draw_bars(path, groups, measured, published, top=table.whole, title=title, unit=unit)


def _figure(value: float | None, table: Table) -> str:
    return "-" if value is None else f"{value:.{2 if table.whole == 100 else 3}f}"


def _signed(value: float | None, table: Table) -> str:
    return "-" if value is None else f"{value:+.{2 if table.whole == 100 else 3}f}"
