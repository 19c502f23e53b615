"""Annotated curves and outlines as masks: a smooth curve through clicked points, a stroke of a width, a filled polygon.

Coordinates are 0-based pixel centres, row then column: the pixel in the corner covers -0.5 to 0.5 in both.

References: Dual-guidewire LinkNet paper, section II-A: points are marked on the wire and a spline is fitted to them.
The paper gives neither the kind of spline nor the width; here it interpolates, and the width is the annotator's to say.
E. Lee, "Choosing nodes in parametric curve interpolation", Computer-Aided Design 21, 1989: the centripetal parameter.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from skimage import draw

from gwunet.errors import DatasetError, UsageError
from gwunet.synthetic.raster import footprint

Points = NDArray[np.float64]
Mask = NDArray[np.uint8]

WIDTH_LIMITS_PX = (1.0, 50.0)
"""Below a pixel a stroke would have gaps; above 50 it is no wire."""
_SAME_PX = 1e-6
"""Points closer than this are one; pixels this much too far still belong, so that rounding cannot favour a side."""
_LONGEST_IN_FRAMES = 20
"""Length of a curve in heights plus widths of the frame; longer ones are not drawn by hand."""
_PIECE = 256
"""Segments drawn at a time, to bound the memory."""
_CENTRIPETAL = 0.5
"""Power of the distance between two points in the curve's parameter. With 1, a long piece beside short ones in a bend
swings out by tens of pixels; people mark straight pieces by their ends and bends by many points."""


def check_width(width_px: float) -> None:
    """Raise ``UsageError`` where ``width_px`` is no width of a wire."""
    low, high = WIDTH_LIMITS_PX
    if not low <= width_px <= high:
        raise UsageError(
            f"width: found {width_px:g} px; wanted {low:g} to {high:g} px: give the wire's width in pixels"
        )


def curve_through(points: Points, *, smooth: bool) -> Points:
    """A curve through clicked points, in their order.

    Args:
        points: (N, 2) row and column; points that repeat the one before are left out.
        smooth: True for the natural cubic spline over the centripetal parameter, which is straight at its ends and
            keeps near the straight lines where the points are far apart; False for those lines.

    Returns:
        (M, 2) points at most about 1.5 px apart, the clicked ones among them.

    Raises:
        DatasetError: fewer than two different points.
    """
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    points = points[np.concatenate([[True], steps > _SAME_PX])] if len(points) else points
    if len(points) < 2:
        raise DatasetError("found fewer than two different points; wanted at least two: mark the wire along its length")
    chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(chords)])
    positions = np.union1d(np.linspace(0, along[-1], int(np.ceil(along[-1])) + 1), along)
    if not smooth:
        return np.stack([np.interp(positions, along, values) for values in points.T], axis=1)
    parameter = np.concatenate([[0.0], np.cumsum(chords**_CENTRIPETAL)])
    curve = CubicSpline(parameter, points, bc_type="natural")
    return np.asarray(curve(np.interp(positions, along, parameter)))


def draw_stroke(points: Points, width_px: float, shape: tuple[int, int], *, smooth: bool) -> Mask:
    """(H, W) mask of the pixels whose centres lie within half of ``width_px`` of the curve through ``points``.

    The ends are round, as in the simulator's masks: the mask reaches half a width beyond the first and last point.

    Args:
        points: (N, 2) row and column.
        width_px: the wire's width in pixels.
        shape: height and width of the frame.
        smooth: see ``curve_through``.

    Raises:
        DatasetError: fewer than two different points, or a curve that crosses the frame dozens of times.
        UsageError: no width of a wire.
    """
    check_width(width_px)
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    if length > _LONGEST_IN_FRAMES * sum(shape):
        raise DatasetError(
            f"found a line of {length:.0f} px; wanted at most {_LONGEST_IN_FRAMES * sum(shape)} px in a frame of "
            f"{shape[0]}x{shape[1]} px: mark one wire per line, from end to end"
        )
    curve = curve_through(points, smooth=smooth)
    mask = np.zeros(shape[0] * shape[1], np.uint8)
    for start in range(0, len(curve) - 1, _PIECE):
        mask[footprint(curve[start : start + _PIECE + 1], shape, width_px / 2 + _SAME_PX).pixel] = 1
    return mask.reshape(shape)


def draw_polygon(vertices: Points, shape: tuple[int, int]) -> Mask:
    """(H, W) mask of the pixels whose centres lie inside a closed polygon or on its edge, by the even-odd rule.

    Raises:
        DatasetError: fewer than three vertices.
    """
    if len(vertices) < 3:
        raise DatasetError(f"found a polygon of {len(vertices)} points; wanted at least three: outline the wire again")
    mask = np.zeros(shape, np.uint8)
    rows, columns = draw.polygon(vertices[:, 0], vertices[:, 1], shape)  # type: ignore[no-untyped-call]
    mask[rows, columns] = 1
    return mask
