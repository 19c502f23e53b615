"""Ways to train beside the default one, the published recipes among them: one dataset, fold and time for each.

    python benchmarks/recipes.py -o OUT -d DATASET --workspace FOLDER [--minutes 5] [--rows default fganet_recipe ...]

Each row trains fold 0 by the installed commands for so many minutes and is scored on its validation frames. What is
kept apart: the default with one thing changed; a paper's recipe (loss, optimiser, schedule, augmentation) on the
network that is planned for this machine; the paper's plan as a whole (its network and patch too, its batch as far as
the memory holds it). Prints a Markdown table; a row that stands in OUT is not done again.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from gwunet.device import available_cores
from gwunet.errors import UsageError
from gwunet.trainers.history import read_epochs
from gwunet.workspace import Workspace
from shared.installed import run_installed

FOLD = "0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to train."""

    says: str
    configuration: str
    trainer: str | None = None
    """In place of the plan's."""
    flags: tuple[str, ...] = ()


RECIPES = {
    "default": Recipe(says="FGA-Net, as planned", configuration="fganet"),
    "float32": Recipe(says="the same in float32", configuration="fganet", flags=("--precision", "fp32")),
    "two_patches": Recipe(
        says="the same with two patches in float32",
        configuration="fganet",
        flags=("--batch_size", "2", "--precision", "fp32"),
    ),
    "faster": Recipe(says="the same, learning rate 0.006", configuration="fganet", flags=("--lr", "0.006")),
    "slower": Recipe(says="the same, learning rate 0.0015", configuration="fganet", flags=("--lr", "0.0015")),
    "averaged": Recipe(says="the same, average of the weights", configuration="fganet", flags=("--ema", "0.99")),
    "fganet_recipe": Recipe(
        says="the same network, the paper's recipe: SGD, learning rate 1e-8",
        configuration="fganet",
        trainer="FGANetPaper",
    ),
    "fganet_recipe_fast": Recipe(
        says="the same, learning rate 0.1", configuration="fganet", trainer="FGANetPaper", flags=("--lr", "0.1")
    ),
    "fganet_published": Recipe(says="the paper's network and recipe", configuration="fganet_paper"),
    "linknet": Recipe(says="LinkNet, as planned", configuration="linknet"),
    "linknet_recipe": Recipe(
        says="the same network, the paper's recipe: focal loss, SGD, learning rate 1e-3",
        configuration="linknet",
        trainer="LinkNetPaper",
    ),
    "linknet_published": Recipe(says="the paper's network and recipe, fresh weights", configuration="linknet_paper"),
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the rows")
    parser.add_argument("-d", "--dataset", required=True, help="id or folder name")
    parser.add_argument("--workspace", type=Path, required=True, help="with raw/DATASET; the rest is made there")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training each")
    parser.add_argument("--rows", nargs="+", choices=tuple(RECIPES), default=list(RECIPES))
    arguments = parser.parse_args(argv)
    folder = Workspace.find(arguments.workspace).raw_dataset(arguments.dataset)
    rows = []
    for name in arguments.rows:
        row = score(arguments.output / f"{name}.json", RECIPES[name], folder, arguments.minutes)
        rows.append(row)
        print(name, row["pooled"], flush=True)
    print(f"\n{folder.name}, fold {FOLD}, {arguments.minutes:g} minutes of training each, {available_cores()} cores\n")
    print(table([RECIPES[name] for name in arguments.rows], rows))


def score(path: Path, recipe: Recipe, dataset: Path, minutes: float) -> dict[str, Any]:
    """Train, unless ``path`` has the row.

    Raises:
        UsageError: ``path`` is of another dataset, recipe or time.
    """
    wanted = {"dataset": dataset.name, "minutes": minutes, "recipe": dataclasses.asdict(recipe)}
    wanted["recipe"]["flags"] = list(recipe.flags)
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        if found["settings"] != wanted:
            raise UsageError(f"{path}: made with {found['settings']}, wanted {wanted}; choose another -o")
        return found
    workspace = dataset.parent.parent
    here = ("--workspace", str(workspace))
    run_installed("gw_plan_and_preprocess", "-d", dataset.name, "-c", recipe.configuration, *here)
    trainer = ("-tr", recipe.trainer) if recipe.trainer else ()
    time = ("--minutes", str(minutes))
    run_installed(
        "gw_train", dataset.name, FOLD, "-c", recipe.configuration, *trainer, *recipe.flags, *time, "--overwrite", *here
    )
    results = workspace / "results" / dataset.name
    pattern = f"{recipe.configuration}__{recipe.trainer or '*'}/fold_{FOLD}/log.jsonl"
    log = max(results.glob(pattern), key=lambda each: each.stat().st_mtime)
    epochs = read_epochs(log.parent)
    summary = json.loads((log.parent / "validation" / "summary.json").read_text())
    made = {
        "settings": wanted,
        "steps": epochs[-1].iteration,
        "losses": [epochs[0].val_loss, epochs[-1].val_loss],
        "frames": summary["n_frames"],
        "pooled": {key: summary["pooled"][key] for key in ("dice", "precision", "recall", "cldice")},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=1))
    return made


def table(recipes: list[Recipe], rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| recipe | steps | validation loss, first and last epoch | Dice | precision | recall | clDice |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe, row in zip(recipes, rows, strict=True):
        losses = " to ".join(f"{loss:.4g}" for loss in row["losses"])
        pooled = ["-" if value is None else f"{value:.3f}" for value in row["pooled"].values()]
        lines.append(f"| {' | '.join([recipe.says, str(row['steps']), losses, *pooled])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
