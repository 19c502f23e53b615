"""Which part of which frame a patch shows."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwunet.data.augmentation import cut_patch
from gwunet.data.sampling import JITTER_SHARE, CaseOrder, View, draw_view, read_window
from gwunet.data.store import FIELD_BIT, WIRE_BIT, StoredFrame
from gwunet.plans import Augmentation, Configuration

SHAPE = (90, 70)
STILL = Augmentation(
    rotation_deg=0,
    scale=(1, 1),
    spatial_probability=0,
    flip=True,
    brightness_probability=0,
    contrast_probability=0,
    gamma_probability=0,
    noise_probability=0,
    blur_probability=0,
)
"""Patches are mirrored and no more."""


@pytest.fixture
def plain(make_configuration: Callable[..., Configuration]) -> Augmentation:
    return make_configuration().augmentation


def make_frame(shape: tuple[int, int] = SHAPE, wire: bool = True) -> StoredFrame:
    labels = np.full(shape, FIELD_BIT, np.uint8)
    if wire:
        labels[20, 30:40] |= WIRE_BIT
    locations = np.flatnonzero(labels & WIRE_BIT).astype(np.int32)
    return StoredFrame(np.random.default_rng(0).integers(0, 256, shape, np.uint8), labels, locations, 127.0, 74.0)


def test_every_lap_has_every_case_once_in_a_new_order() -> None:
    cases = [f"case{index}" for index in range(7)]
    order = CaseOrder(cases, seed=3)
    laps = [[order.case(lap * 7 + index) for index in range(7)] for lap in range(6)]
    assert all(sorted(lap) == cases for lap in laps)
    assert len({tuple(lap) for lap in laps}) > 1


def test_the_order_depends_on_the_seed_and_not_on_who_asks_when() -> None:
    cases = [f"case{index}" for index in range(7)]
    forward = [CaseOrder(cases, 3).case(position) for position in range(40)]
    order = CaseOrder(cases, 3)
    backward = [order.case(position) for position in reversed(range(40))]
    assert forward == backward[::-1]
    assert forward != [CaseOrder(cases, 4).case(position) for position in range(40)]


def test_a_view_is_drawn_from_its_generator_alone(plain: Augmentation) -> None:
    frame = make_frame()
    views = [draw_view(np.random.default_rng((1, i)), frame, (32, 24), plain, 0.5) for i in range(20)]
    assert [draw_view(np.random.default_rng((1, i)), frame, (32, 24), plain, 0.5) for i in range(20)] == views
    assert len(set(views)) > 15


@given(seed=st.integers(0, 10_000), rows=st.integers(2, 90), columns=st.integers(2, 70))
def test_an_unturned_patch_that_fits_lies_inside_the_frame(seed: int, rows: int, columns: int) -> None:
    view = draw_view(np.random.default_rng(seed), make_frame(), (rows, columns), STILL, 0.5)
    for position, patch, extent in zip(view.centre, (rows, columns), SHAPE, strict=True):
        assert (patch - 1) / 2 - 1e-9 <= position <= extent - 1 - (patch - 1) / 2 + 1e-9
    assert (view.angle_rad, view.zoom) == (0, 1)


def test_a_patch_larger_than_the_frame_sits_in_its_middle(plain: Augmentation) -> None:
    view = draw_view(np.random.default_rng(0), make_frame(), (128, 128), plain, 0.5)
    assert view.centre == (44.5, 34.5)


@given(
    seed=st.integers(0, 10_000),
    patch=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    oversampling=st.sampled_from((0.0, 1.0)),
)
@example(seed=0, patch=(24, 40), oversampling=1.0)  # larger than the frame across, by an odd number
@example(seed=0, patch=(32, 31), oversampling=0.0)  # larger along, by an odd number; across by none
def test_an_unturned_patch_is_a_copy(seed: int, patch: tuple[int, int], oversampling: float) -> None:
    """Every pixel of the patch is one of the frame's, moved and mirrored alone; beyond the frame it is 0."""
    shape = (27, 31)
    labels = np.random.default_rng(1).choice((0, FIELD_BIT, FIELD_BIT | WIRE_BIT), shape, p=(0.1, 0.5, 0.4))
    frame = dataclasses.replace(make_frame(shape, wire=False), labels=labels.astype(np.uint8))
    frame = dataclasses.replace(frame, wire_locations=np.flatnonzero(labels & WIRE_BIT).astype(np.int32))
    view = draw_view(np.random.default_rng(seed), frame, patch, STILL, oversampling)
    made = cut_patch(*read_window(frame, view, patch), patch)
    whole = frame.sample()
    low = [round(centre - (edge - 1) / 2) for centre, edge in zip(view.centre, patch, strict=True)]
    for layer, own in ((made.frame, whole.frame), (made.target, whole.target), (made.field, whole.field)):
        beyond = np.pad(own, 64)[
            tuple(slice(64 + first, 64 + first + edge) for first, edge in zip(low, patch, strict=True))
        ]
        flipped = [axis for axis, is_flipped in enumerate((view.flip_rows, view.flip_columns)) if is_flipped]
        np.testing.assert_allclose(layer, np.flip(beyond, flipped), atol=1e-4)  # of float32 positions


def test_oversampling_centres_patches_on_wire(plain: Augmentation) -> None:
    frame, patch = make_frame(), (20, 20)
    views = [draw_view(np.random.default_rng(i), frame, patch, plain, 1.0) for i in range(200)]
    limit = JITTER_SHARE * 20
    assert all(20 - limit <= view.centre[0] <= 20 + limit for view in views)
    assert all(30 - limit <= view.centre[1] <= 39 + limit for view in views)
    anywhere = [draw_view(np.random.default_rng(i), frame, patch, plain, 0.0) for i in range(200)]
    near = sum(abs(view.centre[0] - 20) <= limit for view in anywhere)
    assert near < 60
    assert draw_view(np.random.default_rng(0), make_frame(wire=False), patch, plain, 1.0).zoom == 1


def test_patches_are_not_centred_outside_the_field(plain: Augmentation) -> None:
    frame = make_frame(wire=False)
    frame.labels[:, 20:] = 0
    views = [draw_view(np.random.default_rng(i), frame, (4, 4), plain, 1.0) for i in range(50)]
    assert all(view.centre[1] <= 20 + JITTER_SHARE * 4 for view in views)


def test_ranges_are_kept_and_used(plain: Augmentation) -> None:
    wild = dataclasses.replace(plain, spatial_probability=1.0, rotation_deg=30.0, scale=(0.5, 2.0), flip=True)
    views = [draw_view(np.random.default_rng(i), make_frame(), (20, 20), wild, 0.5) for i in range(300)]
    angles, zooms = np.array([view.angle_rad for view in views]), np.array([view.zoom for view in views])
    assert abs(angles).max() <= math.radians(30)
    assert abs(angles).max() > math.radians(27)
    assert zooms.min() >= 0.5
    assert zooms.max() <= 2
    assert np.median(zooms) == pytest.approx(1, abs=0.15)  # as often enlarged as shrunk
    for name in ("flip_rows", "flip_columns"):
        assert 110 < sum(getattr(view, name) for view in views) < 190


views = st.builds(
    View,
    st.tuples(st.floats(0, SHAPE[0] - 1), st.floats(0, SHAPE[1] - 1)),
    st.floats(-math.pi, math.pi),
    st.floats(0.6, 2.0),
    st.booleans(),
    st.booleans(),
)


@given(view=views, patch=st.tuples(st.integers(1, 24), st.integers(1, 24)))
@example(view=View((0.0, 2.0), 0.0, 1.0, False, False), patch=(1, 6))  # whose first column is half a pixel outside
def test_a_window_shows_what_the_whole_frame_shows(view: View, patch: tuple[int, int]) -> None:
    frame = make_frame()
    whole = cut_patch(frame.sample(), view, patch)
    window, moved = read_window(frame, view, patch)
    part = cut_patch(window, moved, patch)
    clear = ~halfway(view, patch)
    np.testing.assert_allclose(part.frame[clear], whole.frame[clear], atol=1e-3)
    np.testing.assert_array_equal(part.field[clear], whole.field[clear])
    np.testing.assert_array_equal(part.target[clear], whole.target[clear])


def halfway(view: View, patch: tuple[int, int]) -> np.ndarray:
    """Where a patch's sample lies half-way between two pixels: which is nearest is a matter of rounding."""
    grid = np.indices(patch).reshape(2, -1) - (np.array(patch)[:, None] - 1) / 2
    places = np.array(view.centre)[:, None] + view.matrix @ grid
    return (abs(places % 1 - 0.5) < 1e-3).any(axis=0).reshape(patch)


def test_a_window_of_a_large_frame_is_small() -> None:
    frame = make_frame((600, 500))
    view = View((300.0, 250.0), 0.3, 1.0, False, False)
    window, _ = read_window(frame, view, (32, 32))
    assert max(window.frame.shape) < 60
    assert window.target.dtype == np.uint8
    assert window.field.dtype == bool
