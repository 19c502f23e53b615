"""gw_predict: masks for frames, runs, videos, or for frames that come one after another."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwunet.cli.command import DONE, FAILED, add_device_flag, add_workspace_flag, make_parser, run
from gwunet.cli.interruption import ending_on_signals
from gwunet.cli.named_trainer import trainer_named
from gwunet.cli.progress import bar
from gwunet.cli.wire_flags import add_wire_flags, wanted_wires
from gwunet.errors import DatasetError, OutputError, UsageError
from gwunet.progress import no_progress

if TYPE_CHECKING:
    from gwunet.inference.folder import FolderResult
    from gwunet.inference.live import LiveTally
    from gwunet.inference.live_folder import LiveFolder
    from gwunet.inference.part import Part
    from gwunet.inference.predictor import Predictor
    from gwunet.world import World

STANDARD_INPUT = "-"
CONFIGURATION = "fganet"
DTYPES = ("uint8", "uint16")


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Predict a mask and the wires of every frame of a folder with the folders below, of a picture, a DICOM file or "
        "a video; or of frames that come through standard input."
    )
    _add_places(parser)
    _add_model(parser)
    add_wire_flags(parser)
    _add_options(parser)
    _add_live_options(parser)
    add_device_flag(parser)
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i", dest="source", required=True, metavar="FRAMES", help="folder, picture, DICOM file or video; - reads stdin"
    )
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="OUT", help="folder for the masks; needed but with -i -"
    )
    parser.add_argument("--overlay", action="store_true", help="also pictures of masks and wires on the frames")
    parser.add_argument(
        "--save_probabilities", action="store_true", help="also NAME.npz with probabilities in steps of 1/255"
    )
    parser.add_argument("--video", type=Path, metavar="FILE", help="also one video of all frames with their masks")
    parser.add_argument("--continue", dest="skip_finished", action="store_true", help="leave finished masks alone")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of these names in OUT, also those that gwunet did not make",
    )
    parser.add_argument("--num_parts", type=int, default=1, metavar="N", help="commands that share the frames")
    parser.add_argument("--part_id", type=int, default=0, metavar="K", help="which of them this is, from 0")


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("-d", dest="dataset", metavar="DATASET", help="the trained model's: id or folder name")
    model.add_argument("-m", dest="model", type=Path, metavar="FILE", help="a model in one file, made by gw_export")
    parser.add_argument("-c", dest="configuration", metavar="NAME", help=f"trained one; without it {CONFIGURATION}")
    parser.add_argument("-tr", dest="trainer", metavar="TRAINER", help="where several were used; or module:Class")
    parser.add_argument("-f", dest="folds", nargs="+", metavar="FOLD", help="folds to average; without it every one")
    parser.add_argument("-chk", dest="checkpoint", choices=("final", "best"), help="which weights; without it final")
    parser.add_argument("--runtime", choices=("torch", "onnx"), help="what runs the file of -m; without it as its kind")
    parser.add_argument("--provider", metavar="NAME", help="execution provider of ONNX Runtime")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch_size", type=int, metavar="N", help="tiles in one forward pass; without it the plan's")
    parser.add_argument("--disable_tta", action="store_true", help="no mirrored copies: four times as fast")
    parser.add_argument("--step_size", type=float, metavar="S", help="distance of tiles as a share of their size")
    parser.add_argument(
        "--threshold", type=float, metavar="P", help="probability from which a pixel is wire, and no postprocessing"
    )
    parser.add_argument(
        "--no_postprocessing",
        action="store_true",
        help="leave the settings of gw_find_best_configuration alone: masks by the planned threshold",
    )
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="of the network's arithmetic"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile: slow to start, then faster")


def _add_live_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frame_shape", metavar="HxW", help="with -i -: raw pixels of this size come, not PNG files")
    parser.add_argument("--frame_dtype", choices=DTYPES, default=DTYPES[0], help="of raw pixels; low byte first")
    parser.add_argument("--keep_all", action="store_true", help="with -i -: answer every frame, however late")


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.device import keep_freed_memory

    keep_freed_memory()  # before torch is imported
    with ending_on_signals():
        if arguments.source == STANDARD_INPUT:
            return _predict_live(arguments)
        return _predict_files(arguments)


def _predict_files(arguments: argparse.Namespace) -> int:
    if arguments.output is None:
        raise UsageError("-o: needed, the folder for the masks; only -i - does without")
    if arguments.frame_shape or arguments.keep_all:
        raise UsageError("--frame_shape and --keep_all are for frames from standard input: -i -")
    from gwunet.inference.annotated_video import check_video_path
    from gwunet.inference.folder import find_frames, predict_folder
    from gwunet.inference.folder_wires import check_tracking

    # What can be refused is refused before the model is loaded.
    part, world = _part(arguments)
    if arguments.video is not None:
        if part.count > 1:
            raise UsageError("--video: one part has not all frames; make it with --continue when all parts are done")
        check_video_path(arguments.video)
    wires = wanted_wires(arguments)
    if arguments.track:
        check_tracking(wires, part, overlay=arguments.overlay)
    source = Path(arguments.source)
    runs = find_frames(
        source,
        arguments.output,
        overlay=arguments.overlay,
        video=arguments.video,
        track=arguments.track,
        overwrite=arguments.overwrite,
    )
    predictor, model = _load(arguments, world)
    result = predict_folder(
        predictor,
        source,
        arguments.output,
        overlay=arguments.overlay,
        save_probabilities=arguments.save_probabilities,
        video=arguments.video,
        wires=wires,
        track=arguments.track,
        skip_finished=arguments.skip_finished,
        part=part,
        model=model,
        runs=runs,
        progress=bar if world.is_writer else no_progress,
    )
    _say_result(arguments, result, predictor, part)
    return FAILED if result.failed else DONE


def _part(arguments: argparse.Namespace) -> tuple["Part", "World"]:
    from gwunet.inference.part import Part
    from gwunet.world import World

    world = World.from_environment()
    if world.size == 1:
        return Part(count=arguments.num_parts, number=arguments.part_id), world
    if arguments.num_parts != 1:
        raise UsageError("--num_parts: torchrun shares the frames already; leave it out, or start gw_predict without")
    return Part(count=world.size, number=world.rank), world


def _say_result(arguments: argparse.Namespace, result: "FolderResult", predictor: "Predictor", part: "Part") -> None:
    rate = result.n_frames / result.seconds if result.seconds else 0.0
    which = f"part {part.number} of {part.count}: " if part.count > 1 else ""
    before = f", {result.n_finished_before} were finished before" if result.n_finished_before else ""
    video = ""
    if arguments.video:
        video = f", video in {result.video}" if result.video else ", and no video, since no frame has a mask"
    if result.failed:
        print(f"{which}{len(result.failed)} frames could not be read, see above")
    print(
        f"{which}{result.n_frames} frame{'' if result.n_frames == 1 else 's'} in {result.seconds:.1f} s "
        f"({rate:.1f} per second) on {predictor.runs_on}"
        f"{before}; masks in {arguments.output}{video}"
    )


def _load(arguments: argparse.Namespace, world: "World") -> tuple["Predictor", dict[str, Any]]:
    """The predictor, and what the model is called by."""
    from gwunet.device import resolve_device

    device = str(resolve_device(arguments.device, world.local_rank if world.size > 1 else None))
    options = {
        "device": device,
        "mirror": False if arguments.disable_tta else None,
        "step": arguments.step_size,
        "threshold": arguments.threshold,
        "batch_size": arguments.batch_size,
        "postprocess": not arguments.no_postprocessing,
    }
    predictor, model = (_load_file if arguments.model else _load_trained)(arguments, options)
    if predictor.is_postprocessed:
        from gwunet.jsonio import to_json

        model["postprocessing"] = to_json(predictor.postprocessing)
        print(f"masks as chosen by cross-validation: {predictor.postprocessing.in_words()}", file=sys.stderr)
    return predictor, model


def _load_file(arguments: argparse.Namespace, options: dict[str, Any]) -> tuple["Predictor", dict[str, Any]]:
    given = {"-c": "configuration", "-tr": "trainer", "-f": "folds", "-chk": "checkpoint", "--compile": "compile"}
    wrong = [flag for flag, name in given.items() if getattr(arguments, name)]
    if wrong:
        raise UsageError(
            f"-m: {', '.join(wrong)} cannot be chosen with it, the file holds one model as it was exported"
        )
    from gwunet.checkpoint import digest_of
    from gwunet.exporting import load_exported
    from gwunet.inference.run_record import DIGEST

    predictor = load_exported(
        arguments.model,
        runtime=arguments.runtime,
        provider=arguments.provider,
        precision=arguments.precision,
        **options,
    )
    return predictor, {"file": arguments.model.name, DIGEST: digest_of(arguments.model)}


def _load_trained(arguments: argparse.Namespace, options: dict[str, Any]) -> tuple["Predictor", dict[str, Any]]:
    if arguments.runtime == "onnx" or arguments.provider:
        raise UsageError("--runtime onnx and --provider need an exported model: -m FILE, made by gw_export")
    from gwunet.inference.predictor import Predictor

    predictor = Predictor.from_results(
        arguments.dataset,
        configuration=arguments.configuration or CONFIGURATION,
        trainer=trainer_named(arguments.trainer),
        folds=arguments.folds,
        checkpoint=arguments.checkpoint or "final",
        workspace=arguments.workspace,
        precision=arguments.precision,
        compile=arguments.compile,
        **options,
    )
    assert predictor.trained is not None
    return predictor, predictor.trained.for_record()


def _predict_live(arguments: argparse.Namespace) -> int:
    unsuitable = {
        "--continue": arguments.skip_finished,
        "--video": arguments.video,
        "--num_parts": arguments.num_parts != 1,
        "--track with --wires none": arguments.track and arguments.wires == "none",
        "--overlay without -o": arguments.overlay and not arguments.output,
        "--save_probabilities without -o": arguments.save_probabilities and not arguments.output,
    }
    wrong = [flag for flag, is_given in unsuitable.items() if is_given]
    if wrong:
        raise UsageError(f"-i -: {', '.join(wrong)} cannot be had for frames from standard input")
    from gwunet.inference.live import LiveTally, live_answers
    from gwunet.inference.live_folder import check_free
    from gwunet.inference.standard_input import open_unbuffered, parse_shape, png_frames, raw_frames
    from gwunet.world import ALONE

    shape = parse_shape(arguments.frame_shape) if arguments.frame_shape else None
    if arguments.output and not arguments.overwrite:
        check_free(arguments.output)
    predictor, model = _load(arguments, ALONE)
    if shape is not None:  # of PNG frames it is known when the first one is there
        predictor.warm_up(shape)
    stream = open_unbuffered(sys.stdin.fileno())
    tally = LiveTally()
    with _closed_output_is_an_error(), _live_folder(arguments, predictor, tally, model) as folder:
        answers = live_answers(
            predictor,
            png_frames(stream) if shape is None else raw_frames(stream, shape, arguments.frame_dtype),
            tally=tally,
            waiting=None if arguments.keep_all else 1,
            keep=folder.keep if folder else None,
            wires=wanted_wires(arguments),
            track=arguments.track,
        )
        for answer in answers:
            print(json.dumps(answer), flush=True)
    if not tally.answered + tally.damaged:
        raise DatasetError("standard input: found no frames; wanted PNG files one after another, or raw pixels")
    damaged = f", {tally.damaged} damaged" if tally.damaged else ""
    print(
        f"{tally.answered} frames answered, {tally.dropped} dropped{damaged}, on {predictor.runs_on}", file=sys.stderr
    )
    return FAILED if tally.damaged else DONE


@contextlib.contextmanager
def _live_folder(
    arguments: argparse.Namespace, predictor: "Predictor", tally: "LiveTally", model: dict[str, Any]
) -> "Iterator[LiveFolder | None]":
    """What keeps the answers as files; None where they are not kept."""
    if arguments.output is None:
        yield None
        return
    from gwunet.data.lock import alone_in
    from gwunet.inference.frame_writer import FrameWriter
    from gwunet.inference.live_folder import LiveFolder

    wires = wanted_wires(arguments)
    writer = FrameWriter(
        output=arguments.output,
        overlay=arguments.overlay,
        probabilities=arguments.save_probabilities,
        wires=wires is not None,
    )
    with (
        alone_in(arguments.output),
        LiveFolder(predictor, writer, tally, model, track=arguments.track, wires=wires) as folder,
    ):
        yield folder


@contextlib.contextmanager
def _closed_output_is_an_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # What Python still holds for standard output must go somewhere as the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError("standard output: its reader has gone; wanted one that takes a line for each frame") from None
