"""What a trained network finds in tiles of several sizes: Dice, clDice and processor time of unseen frames.

    python benchmarks/tiles.py CHECKPOINT -i FRAMES -r MASKS [--tiles 0 128 192 256] [--steps 1 0.75] [--frames N]

CHECKPOINT is a fold's checkpoint_final.pt; FRAMES and MASKS have equal names. Frames the checkpoint has learnt from
are left out. A tile of 0 is the whole frame. Each row is predicted with and without mirrored copies; scores are pooled
over the frames, time is that of all threads for a frame, reading left out. Lost is what share of the true wires'
pixels is not found without copies: within 4 px of the middle between two tiles, and further than 64 px from all.
"""

import argparse
import dataclasses
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gwunet.checkpoint import Checkpoint, load_checkpoint
from gwunet.device import keep_freed_memory
from gwunet.evaluation.metrics import FrameScore, score_frame
from gwunet.evaluation.summary import pooled_scores
from gwunet.evenly import evenly
from gwunet.exposed_field import Box
from gwunet.inference import Predictor
from gwunet.inference.cut_frame import CutFrame
from gwunet.io.frames import list_frames, read_frame, read_mask
from gwunet.plans import MAX_EDGE_PX
from gwunet.tiling import tile_starts

WHOLE = 0
NEAR_PX, FAR_PX = 4, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-i", "--input", type=Path, required=True, metavar="FRAMES")
    parser.add_argument("-r", "--reference", type=Path, required=True, metavar="MASKS")
    parser.add_argument("--tiles", type=int, nargs="+", default=[WHOLE, 128, 192, 256], metavar="EDGE")
    parser.add_argument("--steps", type=float, nargs="+", default=[1.0], help="distances as shares of a tile")
    parser.add_argument("--frames", type=int, help="evenly chosen; all without it")
    arguments = parser.parse_args()
    keep_freed_memory()
    checkpoint = load_checkpoint(arguments.checkpoint)
    pairs = unseen_pairs(checkpoint, arguments.input, arguments.reference, arguments.frames)
    if not pairs:
        sys.exit(f"{arguments.input}: found no frame with a mask that was not trained on")
    plan = checkpoint.configuration
    print(f"{plan.name}, patch {plan.patch_size[0]} x {plan.patch_size[1]}, {len(pairs)} frames\n")
    print("| tile | step | lost at ends | elsewhere | Dice | clDice | CPU s | mirrored: Dice | clDice | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for edge in arguments.tiles:
        for step in arguments.steps if edge != WHOLE else arguments.steps[:1]:
            lost, *alone = measure(checkpoint, pairs, edge, step, mirror=False)
            _, *mirrored = measure(checkpoint, pairs, edge, step, mirror=True)
            cells = [lost, *alone, *mirrored]
            print(f"| {edge or 'whole'} | {step:g} | {' | '.join(cells)} |", flush=True)


def unseen_pairs(checkpoint: Checkpoint, frames: Path, masks: Path, count: int | None) -> Sequence[tuple[Path, Path]]:
    """Frames the checkpoint has not learnt from, with their masks."""
    learnt = set(checkpoint.cases or ())
    by_name = {path.stem: path for path in list_frames(masks)}
    pairs = [(path, by_name[path.stem]) for path in list_frames(frames) if path.stem in by_name.keys() - learnt]
    return evenly(pairs, count or len(pairs))


def measure(
    checkpoint: Checkpoint, pairs: Sequence[tuple[Path, Path]], edge: int, step: float, *, mirror: bool
) -> tuple[str, str, str, str]:
    """What is lost at the tiles' ends and elsewhere, Dice, clDice, and seconds of processor time."""
    plan = checkpoint.configuration
    tile = (edge or MAX_EDGE_PX, edge or MAX_EDGE_PX)
    inference = dataclasses.replace(plan.inference, tile_size=tile, step=step, mirror=mirror)
    changed = dataclasses.replace(checkpoint, configuration=dataclasses.replace(plan, inference=inference))
    predictor = Predictor([changed], mirror=mirror)
    scores: list[FrameScore] = []
    seconds = 0.0
    near, far = [np.zeros(2), np.zeros(2)]
    for frame_path, mask_path in pairs:
        frame, reference = read_frame(frame_path), read_mask(mask_path)
        begin = time.process_time()
        mask = predictor.predict_frame(frame).mask
        seconds += time.process_time() - begin
        scores.append(score_frame(frame_path.stem, reference, mask))
        from_ends = px_from_ends(CutFrame.of(frame, checkpoint.preprocessing).crop.box, reference.shape, tile[0], step)
        for total, is_there in ((near, from_ends < NEAR_PX), (far, from_ends > FAR_PX)):
            true = (reference == 1) & is_there
            total += np.count_nonzero(true & (mask == 0)), np.count_nonzero(true)
    pooled = pooled_scores(scores)
    lost = " | ".join(f"{100 * missed / true:.1f} %" if true else "" for missed, true in (near, far))
    return lost, f"{pooled.dice:.3f}", f"{pooled.cldice:.3f}", f"{seconds / len(pairs):.2f}"


def px_from_ends(box: Box, shape: tuple[int, ...], tile: int, step: float) -> NDArray[np.float64]:
    """(H, W) distance of each pixel to the nearest line half-way through the overlap of two tiles."""
    nearest = np.full(shape, np.inf)
    for axis, first, extent in ((0, box.top, box.height), (1, box.left, box.width)):
        starts = tile_starts(extent, min(tile, extent), step)
        for before, after in itertools.pairwise(starts):
            line = first + (before + tile + after - 1) / 2
            apart = abs(np.arange(shape[axis]) - line)
            nearest = np.minimum(nearest, apart[:, None] if axis == 0 else apart)
    return nearest


if __name__ == "__main__":
    main()
