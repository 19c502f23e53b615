"""commands.md: every flag of every command, from the commands' own parsers."""

import argparse
import importlib
import tomllib
import unittest.mock
from collections.abc import Iterator

from writing.sources import ROOT
from writing.text import MADE, cell, wrapped

READ_ON = {
    "gw_plan_and_preprocess": "[read a plan](../how-to/read_a_plan.md), [how it is made](../explanation/planning.md)",
    "gw_train": "[how to train](../how-to/train.md), [on several devices](../how-to/train_on_several_devices.md), "
    "[resume](../how-to/resume.md)",
    "gw_predict": "[how to predict](../how-to/predict.md), [tips, tracking](../how-to/localise.md), "
    "[live](../how-to/live.md), "
    "[what it writes](commands_and_files.md#prediction)",
    "gw_evaluate": "[metrics](metrics.md)",
    "gw_find_best_configuration": "[choose and ensemble](../how-to/choose_and_ensemble.md)",
    "gw_ensemble": "[choose and ensemble](../how-to/choose_and_ensemble.md#ensembles)",
    "gw_convert": "[how to convert](../how-to/convert.md)",
    "gw_synthesize": "[the simulator](../explanation/simulator.md)",
    "gw_demo": "[measured](measurements.md#the-demonstration)",
    "gw_benchmark": "[what is counted and timed](commands_and_files.md#cost-and-time-of-networks)",
    "gw_export": "[export and deploy](../how-to/export_and_deploy.md)",
    "gw_import": "[a model of somebody else](../how-to/export_and_deploy.md#a-model-of-somebody-else)",
    "gw_report": "[read a report](../how-to/read_a_report.md)",
    "gw_explain": "[what a network looks at](../how-to/read_a_report.md#what-a-network-looks-at)",
}
"""Where each command is explained; one without an entry cannot be written, and so cannot be forgotten."""


def scripts() -> dict[str, str]:
    """Command -> ``module:function``, as pyproject.toml has them."""
    found: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    return found


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command makes; nothing is run."""
    module = importlib.import_module(scripts()[command].split(":")[0])
    with unittest.mock.patch.object(module, "run") as run:
        module.main([])
    parser: argparse.ArgumentParser = run.call_args.args[1]
    parser.prog = command
    return parser


def commands_page() -> Iterator[str]:
    yield "# Commands: every flag"
    yield ""
    yield MADE.format(what="the command's parser in `gwunet/cli`")
    yield ""
    yield from wrapped(
        "The same stands in `COMMAND --help`. Exit status: 0 done, 1 failed, 2 wrong use, 130 and 143 ended by Ctrl-C "
        "and SIGTERM. What the flags mean for each other, and what is written: "
        "[commands and files](commands_and_files.md)."
    )
    for command in scripts():
        yield from _command(command)


def _command(command: str) -> Iterator[str]:
    parser = parser_of(command)
    yield from ("", f"## {command}", "")
    yield from wrapped(parser.description or "")
    yield from ("", f"Read on: {READ_ON[command]}.")
    kinds = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
    if kinds is None:
        yield from _flags(parser)
        return
    for kind, below in kinds.choices.items():
        yield from ("", f"### {command} {kind}", "")
        yield from wrapped(f"{(below.description or kind)[0].upper()}{(below.description or kind)[1:]}.")
        yield from _flags(below)


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from ("", "| flag | value | default | effect |", "|---|---|---|---|")
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = ", ".join(f"`{flag}`" for flag in action.option_strings) or f"`{action.metavar or action.dest}`"
        effect = (action.help or "").replace("%%", "%")
        yield f"| {name} | {_value(action)} | {_default(action)} | {cell(effect)} |"
    for group in parser._mutually_exclusive_groups:
        names = " and ".join(f"`{action.option_strings[0]}`" for action in group._group_actions)
        yield from ("", f"{names} exclude each other{'; one is needed' if group.required else ''}.")


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        value = ", ".join(f"`{choice}`" for choice in action.choices)
    elif isinstance(action.metavar, tuple):
        return "`" + " ".join(action.metavar) + "`"
    else:
        value = f"`{action.metavar or action.dest.upper()}`"
    return f"{value}, one or more" if action.nargs == "+" else value


def _default(action: argparse.Action) -> str:
    if action.required:
        return "needed"
    if action.nargs == 0 or action.default is None or action.default == []:
        return ""
    default = action.default if not isinstance(action.default, tuple) else " ".join(map(str, action.default))
    return f"`{default}`"
