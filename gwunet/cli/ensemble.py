"""gw_ensemble: masks and wires of the average of several predictions."""

import argparse
from pathlib import Path

from gwunet.cli.command import make_parser, run
from gwunet.cli.progress import bar
from gwunet.cli.wire_flags import add_wire_flags, wanted_wires
from gwunet.errors import UsageError

THRESHOLD = 0.5


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Average what gw_predict --save_probabilities wrote with several models, and write masks and wires of that."
    )
    parser.add_argument(
        "-i",
        dest="sources",
        nargs="+",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="two or more, of the same frames",
    )
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="folder for the masks")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help=f"mean probability from which a pixel is wire; without it {THRESHOLD}",
    )
    how.add_argument(
        "--postprocessing",
        type=Path,
        metavar="FILE",
        help="the pair's postprocessing.json of gw_find_best_configuration",
    )
    add_wire_flags(parser)
    parser.add_argument(
        "--overlay",
        type=Path,
        metavar="FRAMES",
        help="also pictures of masks and wires on the frames that were predicted",
    )
    parser.add_argument("--save_probabilities", action="store_true", help="also NAME.npz with the average")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of these names in OUT, also those that gwunet did not make",
    )
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> None:
    from gwunet.inference.ensemble import ensemble_folders
    from gwunet.inference.made_for import check_made_for
    from gwunet.postprocessing import Postprocessing
    from gwunet.postprocessing.shipped import read_shipped

    if arguments.postprocessing is not None:
        shipped = read_shipped(arguments.postprocessing)
        check_made_for(arguments.postprocessing, shipped, arguments.sources)
        settings = shipped.settings
    else:
        try:
            settings = Postprocessing(threshold=THRESHOLD if arguments.threshold is None else arguments.threshold)
        except ValueError as problem:
            raise UsageError(f"--threshold: {problem}") from problem
    record = ensemble_folders(
        arguments.sources,
        arguments.output,
        settings=settings,
        save_probabilities=arguments.save_probabilities,
        wires=wanted_wires(arguments),
        track=arguments.track,
        overlay=arguments.overlay,
        overwrite=arguments.overwrite,
        progress=bar,
    )
    print(
        f"{record.n_frames} frames of {len(record.sources)} models averaged ({settings.in_words()}); "
        f"masks in {arguments.output}"
    )
