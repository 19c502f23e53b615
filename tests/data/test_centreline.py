"""The tubed skeleton against its definition and a bar whose middle is known."""

import numpy as np
import pytest
from skimage.morphology import diamond, dilation, thin

from gwunet.data.centreline import tubed_skeleton


def bar(width: int, shape: tuple[int, int] = (40, 70)) -> np.ndarray:
    """A horizontal bar from column 10 to 59, its first row 8."""
    wire = np.zeros(shape, bool)
    wire[8 : 8 + width, 10:60] = True
    return wire


def arc(radius: float, width: float) -> np.ndarray:
    rows, columns = np.indices((90, 100))
    wire: np.ndarray = np.abs(np.hypot(rows - 80, columns - 50) - radius) <= width / 2
    return wire


@pytest.mark.parametrize("width", [7, 9, 13])
def test_the_tube_of_a_wide_bar_is_its_five_middle_rows(width: int) -> None:
    tube = tubed_skeleton(bar(width))
    middle = 8 + width // 2
    rows = np.flatnonzero(tube[:, 30:40].all(axis=1))
    assert rows.tolist() == list(range(middle - 2, middle + 3))
    assert (tube[:, 30:40].any(axis=1) == tube[:, 30:40].all(axis=1)).all()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_thin_wire_is_its_own_tube(width: int) -> None:
    tube = tubed_skeleton(bar(width))
    assert (tube == bar(width))[:, 15:55].all()


@pytest.mark.parametrize("wire", [arc(50, 3), arc(45, 8), arc(30, 14), arc(79, 6) | arc(20, 9)])
def test_it_is_the_skeleton_dilated_twice_and_cut_to_the_wire(wire: np.ndarray) -> None:
    skeleton = thin(wire[::-1, ::-1])[::-1, ::-1]  # of two equal middles that of gwunet.thinning
    expected = dilation(skeleton, diamond(2)) & wire
    np.testing.assert_array_equal(tubed_skeleton(wire), expected)


def test_a_wire_at_the_edges_of_the_frame() -> None:
    wire = np.ones((5, 30), bool)
    assert tubed_skeleton(wire)[2, 5:25].all()


def test_no_wire_has_no_tube() -> None:
    tube = tubed_skeleton(np.zeros((6, 7), bool))
    assert tube.shape == (6, 7)
    assert not tube.any()
