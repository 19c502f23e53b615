"""What prediction of a folder takes beside the network: reading, preprocessing, stitching, writing.

    python benchmarks/prediction_overhead.py -d DATASET --workspace FOLDER [-c fganet] [--frames 60] [--paper_size]
    python benchmarks/prediction_overhead.py -d DATASET --workspace FOLDER --steps

The frames are the dataset's. Three measurements in turn, five times: the folder as gw_predict does it, without mirrored
copies and localisation; the same with the network's answers recalled in its place, which costs nothing; and the network
alone on the same tiles, in memory. What the folder takes beyond the network alone is the rest's share, in which reading
and writing overlap with the network. --paper_size has fresh weights in FGA-Net's size of the paper instead of the
trained network.

--steps prints a Markdown table instead: what each step takes of one thread's processor time, which other programs
change less than time that passes.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from gwunet.device import available_cores, keep_freed_memory
from gwunet.exposed_field import exposed_field
from gwunet.inference import Predictor, predict_folder
from gwunet.inference.cut_frame import CutFrame
from gwunet.inference.sliding_window import predict_probability
from gwunet.io.frames import list_frames, read_frame, write_mask
from gwunet.networks import FGANet
from gwunet.networks.folding import fold_batch_norms
from gwunet.preprocessing import crop_to, normalise
from gwunet.workspace import Workspace

REPEATS = 5
Network = Callable[[Tensor], Tensor]
Value = TypeVar("Value")


class Recalled:
    """A network's answers to the same tiles in the same order, over and over."""

    def __init__(self) -> None:
        self.tiles: list[Tensor] = []
        self.answers: list[Tensor] = []
        self.next = 0

    def learning(self, network: Network) -> Network:
        """The network, whose tiles and answers are kept."""

        def asked(tiles: Tensor) -> Tensor:
            self.tiles.append(tiles.clone())
            self.answers.append(network(tiles).float())
            return self.answers[-1]

        return asked

    def __call__(self, tiles: Tensor) -> Tensor:
        answer = self.answers[self.next % len(self.answers)]
        self.next += 1
        assert answer.shape == tiles.shape
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True, help="id or folder name of a trained dataset")
    parser.add_argument("-c", "--configuration", default="fganet")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--paper_size", action="store_true")
    parser.add_argument("--steps", action="store_true", help="what each step takes, and nothing else")
    arguments = parser.parse_args()
    keep_freed_memory()
    workspace = Workspace.find(arguments.workspace)
    name = workspace.dataset_name(arguments.dataset)
    trained = Predictor.from_results(name, configuration=arguments.configuration, workspace=workspace, mirror=False)
    network = fold_batch_norms(FGANet()) if arguments.paper_size else trained.networks[0]
    paths = list_frames(workspace.raw_dataset(name) / "imagesTr")[: arguments.frames]
    recalled = Recalled()
    learning = _predictor_of(recalled.learning(network), trained)
    for path in paths:
        learning.predict_frame(read_frame(path))
    if arguments.steps:
        torch.set_num_threads(1)
        print_steps(trained, recalled, paths)
    else:
        print_shares(trained, network, recalled, paths)


def _predictor_of(network: Network, trained: Predictor) -> Predictor:
    return Predictor.from_networks(
        [network], trained.configuration, trained.preprocessing, runtime="measured", mirror=False
    )


def print_shares(trained: Predictor, network: Network, recalled: Recalled, paths: Sequence[Path]) -> None:
    """The folder's time, and what of it is not the network's."""
    with tempfile.TemporaryDirectory() as scratch:
        source, masks = Path(scratch, "frames"), Path(scratch, "masks")
        source.mkdir()
        for path in paths:
            shutil.copy(path, source)

        def folder(network: Network) -> None:
            shutil.rmtree(masks, ignore_errors=True)
            predict_folder(_predictor_of(network, trained), source, masks, wires=None)

        def alone() -> None:
            with torch.inference_mode():
                for tiles in recalled.tiles:
                    network(tiles)

        ways: dict[str, Callable[[], None]] = {
            "folder": lambda: folder(network),
            "folder without network": lambda: folder(recalled),
            "network alone": alone,
        }
        alone()
        found: dict[str, list[float]] = {says: [] for says in ways}
        for _ in range(REPEATS):
            for says, way in ways.items():
                start = time.perf_counter()
                way()
                found[says].append(1000 * (time.perf_counter() - start) / len(paths))
    medians = {says: statistics.median(values) for says, values in found.items()}
    print(f"{len(paths)} frames, {available_cores()} cores, ms a frame, medians of {REPEATS}:")
    for says, median in medians.items():
        print(f"  {says:<24}{median:8.1f}")
    beside = medians["folder"] - medians["network alone"]
    print(f"  beside the network      {beside:8.1f}   {beside / medians['folder']:.1%} of the folder's")


def print_steps(trained: Predictor, recalled: Recalled, paths: Sequence[Path]) -> None:
    """The steps of a frame one after another in this thread."""
    inference = trained.inference
    found: dict[str, list[float]] = {}

    def timed(says: str, step: Callable[..., Value], *given: Any) -> Value:
        start = time.thread_time()
        value = step(*given)
        found.setdefault(says, []).append(1000 * (time.thread_time() - start))
        return value

    def probability(scores: Tensor) -> Tensor:
        with torch.inference_mode():
            return predict_probability(
                [recalled],
                scores,
                tile_size=inference.tile_size,
                step=inference.step,
                mirror=False,
                batch_size=trained.batch_size,
            )

    with tempfile.TemporaryDirectory() as scratch:
        for path in list(paths) * REPEATS:
            frame = timed("read and decode the frame", read_frame, path)
            border = trained.preprocessing.borders[str(frame.dtype)]
            field = timed("find the exposed field", exposed_field, frame, border)
            crop = timed("cut it out, mean and deviation", crop_to, frame, field)
            timed("normalise", normalise, crop.pixels, crop.field, crop.mean, crop.std)
            cut = CutFrame.of(frame, trained.preprocessing)
            answer = timed("sigmoid, stitch tiles", probability, cut.scores[None])[0].numpy()
            prediction = timed("put back, threshold", cut.answered, answer, trained.postprocessing)
            timed("encode and write the mask", write_mask, Path(scratch, "mask.png"), prediction.mask)
    medians = {says: statistics.median(values) for says, values in found.items()}
    print("| step | ms |\n|---|---|")
    for says, median in medians.items():
        print(f"| {says} | {median:.2f} |")
    print(f"| sum | {sum(medians.values()):.2f} |")


if __name__ == "__main__":
    main()
