"""A mean over what is known."""

from shared.means import mean_of_known


def test_undefined_figures_are_left_out() -> None:
    assert mean_of_known([1.0, None, 4.0, 0.0]) == 5 / 3
    assert mean_of_known([None, None]) is None
    assert mean_of_known([]) is None
