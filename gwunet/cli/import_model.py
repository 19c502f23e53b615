"""gw_import: a model of somebody else, from one file into the workspace."""

import argparse
from pathlib import Path

from gwunet.cli.command import add_workspace_flag, make_parser, run


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Check an archive that gw_export --format zip wrote, and install it under results/, where gw_predict finds it."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the archive")
    parser.add_argument("--name", metavar="DATASET", help="dataset to install it under; without it the archive's")
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.exporting import import_model
    from gwunet.trained import parts_of

    folder = import_model(arguments.file, workspace=arguments.workspace, name=arguments.name)
    print(f"installed {folder}")
    configuration, _ = parts_of(folder.name)
    print(f"predict with: gw_predict -i FRAMES -o OUT -d {folder.parent.name} -c {configuration}")
    return 0
