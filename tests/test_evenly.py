"""A few of many."""

from hypothesis import example, given
from hypothesis import strategies as some

from gwunet.evenly import evenly


@given(total=some.integers(0, 300), count=some.integers(0, 40))
@example(total=7, count=4)
def test_as_many_as_wanted_are_taken_from_all_parts(total: int, count: int) -> None:
    taken = evenly(range(total), count)
    assert len(taken) == min(total, count)
    if taken:
        assert taken[0] == 0
        # The end of the items closes the last part, so that the parts are of one length too.
        gaps = {after - before for before, after in zip(taken, [*taken[1:], total], strict=True)}
        assert min(gaps) >= 1
        assert max(gaps) - min(gaps) <= 1
