"""What prediction of a folder takes beside the network: reading, preprocessing, stitching, writing.

    python benchmarks/prediction_overhead.py -d DATASET --workspace FOLDER [-c fganet] [--frames 60] [--paper_size]

The frames are the dataset's. Three measurements in turn, five times: the folder as gw_predict does it, without mirrored
copies; the same with an addition in the network's place; and the network alone on the same crops, in memory. What the
folder takes beyond the network alone is the rest's share, in which reading and writing overlap with the network.
--paper_size has fresh weights in FGA-Net's size of the paper instead of the trained network.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gwunet.device import available_cores, keep_freed_memory
from gwunet.inference import Predictor, predict_folder
from gwunet.io.frames import list_frames, read_frame
from gwunet.workspace import Workspace

REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True, help="id or folder name of a trained dataset")
    parser.add_argument("-c", "--configuration", default="fganet")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--paper_size", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    import torch

    from gwunet.networks import FGANet
    from gwunet.networks.folding import fold_batch_norms
    from gwunet.preprocessing import crop_frame, normalise

    workspace = Workspace.find(arguments.workspace)
    name = workspace.dataset_name(arguments.dataset)
    trained = Predictor.from_results(name, configuration=arguments.configuration, workspace=workspace, mirror=False)
    networks = trained.networks
    if arguments.paper_size:
        networks = [fold_batch_norms(FGANet())]

    def predictor_of(*chosen: Callable[[torch.Tensor], torch.Tensor]) -> Predictor:
        return Predictor.from_networks(
            chosen, trained.configuration, trained.preprocessing, runtime="measured", mirror=False
        )

    with tempfile.TemporaryDirectory() as scratch:
        source, masks = Path(scratch, "frames"), Path(scratch, "masks")
        source.mkdir()
        paths = list_frames(workspace.raw_dataset(name) / "imagesTr")[: arguments.frames]
        for path in paths:
            shutil.copy(path, source)
        crops = [crop_frame(read_frame(path), trained.preprocessing) for path in paths]
        scores = [
            torch.from_numpy(normalise(crop.pixels, crop.field, crop.mean, crop.std))[None, None] for crop in crops
        ]

        def folder(*chosen: Callable[[torch.Tensor], torch.Tensor]) -> None:
            shutil.rmtree(masks, ignore_errors=True)
            predict_folder(predictor_of(*chosen), source, masks, wires=None)

        def alone() -> None:
            with torch.inference_mode():
                for tiles in scores:
                    networks[0](tiles)

        ways: dict[str, Callable[[], None]] = {
            "folder": lambda: folder(*networks[:1]),
            "folder without network": lambda: folder(lambda tiles: tiles + 1),
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


if __name__ == "__main__":
    main()
