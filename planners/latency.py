"""How long a planned network takes for a frame on this machine: measured, as prediction does it, with fresh weights.

What a network with fresh weights finds is noise, so the wires that are located and tracked are drawn ones.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from gwunet.checkpoint import Checkpoint
from gwunet.device import keep_freed_memory
from gwunet.exposed_field import Frame
from gwunet.inference import Predictor
from gwunet.localization import Tracker, locate_guidewires
from gwunet.networks import build_network
from gwunet.plans import Configuration, Preprocessing

WARM_UP = 2
"""Frames before the first timed one: memory is allocated and kernels are chosen in them."""
FRAMES = 9
LEAST_FRAMES = 3
MOST_S = 1.5
"""After so many seconds no further frame is timed: a network that slow is out of the question for any rate."""


def milliseconds_per_frame(configuration: Configuration, preprocessing: Preprocessing, frame: Frame) -> float:
    """The median time from a frame to its wires, on the device the configuration is for.

    All of ``Predictor.predict_frame`` counts: the exposed field, the normalisation, the network with batch norms folded
    and in the numbers that prediction computes in there, the mask; and locating and tracking two wires. Weights are
    fresh, since time does not depend on them. The process is set to keep freed memory, as the commands that predict
    are.

    Args:
        configuration: with the network and how it is to predict.
        preprocessing: of the dataset it is for.
        frame: ``(H, W)`` uint8 or uint16.

    Raises:
        UsageError: this machine has no such device.
    """
    if configuration.target.device == "cpu":
        keep_freed_memory()
    with torch.random.fork_rng(devices=[]):
        fresh = Checkpoint(
            dataset="(none)",
            trainer=configuration.trainer,
            configuration=configuration,
            preprocessing=preprocessing,
            weights=build_network(configuration).state_dict(),
            epoch=0,
        )
        predictor = Predictor([fresh], device=configuration.target.device)
    wires = two_wires(frame.shape)
    tracker = Tracker()

    def answer() -> None:
        predictor.predict_frame(frame)
        tracker.update(locate_guidewires(wires))

    return median_ms(answer)


def two_wires(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A ``(H, W)`` mask of two curves, 3 px wide, that cross and end in the frame."""
    height, width = shape
    along = np.linspace(0.0, 0.9, 4 * (height + width))
    mask = np.zeros(shape, np.bool_)
    for start, stop, bend in ((0.2, 0.8, 0.08), (0.7, 0.3, -0.05)):
        across = start + (stop - start) * along + bend * np.sin(7 * along)
        rows, columns = np.rint(across * height).astype(int), (along * width).astype(int)
        for beside in (-1, 0, 1):
            mask[np.clip(rows + beside, 0, height - 1), columns] = True
    return mask


def median_ms(step: Callable[[], object]) -> float:
    """Median milliseconds of a step that has returned when it is done."""
    for _ in range(WARM_UP):
        step()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < FRAMES and (len(times) < LEAST_FRAMES or time.perf_counter() - begin < MOST_S):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)
