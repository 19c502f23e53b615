"""What all tests share: one torch thread, the marks ``slow`` and ``gpu``, and miniature inputs."""

import contextlib
import dataclasses
import json
import math
import resource
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.dataset import Dataset
from gwunet.exposed_field import Border
from gwunet.fingerprint import Fingerprint, Spread
from gwunet.jsonio import printable
from gwunet.plans import Augmentation, Configuration, Duration, Inference, Optimiser, Spec, Target

torch.set_num_threads(1)
hypothesis.settings.register_profile("gwunet", deadline=None)  # a loaded machine is no failure
hypothesis.settings.load_profile("gwunet")


LONGEST = (
    "cli/test_pipeline.py",
    "cli/test_train.py",
    "networks/test_networks.py",
    "cli/test_benchmark.py",
    "trainers/test_published.py",
    "planners/test_shapes.py",
    "cli/test_predict.py",
    "faults/test_faults.py",
    "trainers/test_loop.py",
    "test_world.py",
    "test_demo.py",
)
"""Files that take longest, run first: of one that a worker begins last, the others would wait for the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    first = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path, len(first)))
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--run-slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: give --run-slow"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, this machine has none"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed or logged of names that are not UTF-8 in a form that workers can send."""
    report = yield
    report.sections = [(name, printable(text)) for name, text in report.sections]
    return report


def _spread(median: float) -> Spread:
    return Spread(median=median, p05=median, p95=median, minimum=median, maximum=median)


class Counting:
    """Its ``progress`` notes label, number of items and announced total of what it is given, once that is done."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def progress(self, items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        done = 0
        for item in items:
            yield item
            done += 1
        self.seen.append((label, done, total))


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def full_disk() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Inside it this process can write no file beyond 500 bytes, as on a full disk."""

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full


@pytest.fixture
def wire_of_5_px() -> Callable[[int], torch.Tensor]:
    """``wire_of_5_px(edge)``: ``(1, 1, edge, edge)``, 1 where a sine-shaped curve is at most 2.5 px away."""

    def draw(edge: int) -> torch.Tensor:
        along = torch.linspace(0, 1, 400)
        curve = torch.stack((20 + 88 * along, 64 + 35 * torch.sin(2 * math.pi * along)), dim=1) * (edge / 128)
        pixels = torch.arange(float(edge))
        distance = torch.cdist(torch.cartesian_prod(pixels, pixels), curve).amin(1)
        return (distance <= 2.5).float().view(1, 1, edge, edge)

    return draw


@pytest.fixture
def make_fingerprint() -> Callable[..., Fingerprint]:
    """A fingerprint by the size of its exposed field, its widest wire and its background-to-wire ratio."""

    def make(
        field: tuple[float, float] = (500.0, 480.0), widest_px: float = 4.0, background_to_wire: float = 400.0
    ) -> Fingerprint:
        return Fingerprint(
            schema_version=1,
            dataset="Dataset001_Made",
            n_frames=10,
            dtypes={"uint8": 10},
            borders={"uint8": Border(level=15.0, threshold=20.0, spread=2.0)},
            frames_with_border=10,
            height=_spread(512),
            width=_spread(512),
            field_height=_spread(field[0]),
            field_width=_spread(field[1]),
            field_share=_spread(0.9),
            intensity=(20.0, 40.0, 100.0, 180.0, 220.0),
            mean=_spread(100.0),
            std=_spread(30.0),
            wire_share=1 / (1 + background_to_wire),
            background_to_wire=background_to_wire,
            wire_width_px=(min(3.0, widest_px), widest_px),
            centreline_px=_spread(200.0),
            components=_spread(1),
            endpoints=_spread(2),
            frames_without_wire=0,
            frames_per_sequence=_spread(2),
            n_sequences=5,
            n_patients=None,
            sequences_per_patient=None,
            duplicates=(),
            wire_pixels={f"case{index}": 100 for index in range(10)},
        )

    return make


@pytest.fixture
def make_configuration() -> Callable[..., Configuration]:
    """A small FGANet configuration without augmentation; any of its fields can be given."""

    def make(**changes: Any) -> Configuration:
        plain = Augmentation(
            rotation_deg=180.0,
            scale=(0.8, 1.25),
            spatial_probability=0.0,
            flip=False,
            brightness_probability=0.0,
            contrast_probability=0.0,
            gamma_probability=0.0,
            noise_probability=0.0,
            blur_probability=0.0,
        )
        configuration = Configuration(
            name="fganet",
            planner="FGANetPlanner",
            trainer="FGANetTrainer",
            target=Target(device="cpu", memory_gb=2.0),
            network=Spec(name="FGANet", arguments={"features": [2, 4], "decoder_features": [2]}),
            loss=Spec(name="HybridLoss", arguments={"cldice_weight": 0.0}),
            deep_supervision_weights=(0.75, 0.25),
            patch_size=(16, 24),
            batch_size=2,
            foreground_oversampling=0.5,
            augmentation=plain,
            optimiser=Optimiser(
                name="adamw",
                learning_rate=1e-3,
                weight_decay=1e-2,
                momentum=0.0,
                schedule="cosine",
                warmup_share=0.1,
                gradient_clip=5.0,
            ),
            duration=Duration(epochs=2, iterations_per_epoch=3, minutes=None),
            inference=Inference(tile_size=(64, 64), step=0.5, mirror=True, threshold=0.5),
            decisions=(),
        )
        return dataclasses.replace(configuration, **changes)

    return make


@pytest.fixture
def make_raw_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """Arrays written as PNGs into a raw dataset: ``make({"case": (frame, mask)}, **dataset_json)``."""

    def make(pairs: dict[str, tuple[np.ndarray, np.ndarray]], **description: Any) -> Dataset:
        folder = tmp_path / "raw" / "Dataset001_Made"
        for name in ("imagesTr", "labelsTr"):
            (folder / name).mkdir(parents=True)
        for case, (frame, mask) in pairs.items():
            Image.fromarray(frame).save(folder / "imagesTr" / f"{case}.png")
            Image.fromarray(mask).save(folder / "labelsTr" / f"{case}.png")
        (folder / "dataset.json").write_text(json.dumps(description))
        return Dataset.open(folder)

    return make
