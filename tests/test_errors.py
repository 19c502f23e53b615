"""Messages."""

import pytest

from gwunet.errors import few


@pytest.mark.parametrize(
    ("count", "said"), [(0, ""), (1, "a"), (3, "a, b, c"), (4, "a, b, c and 1 more"), (26, "a, b, c and 23 more")]
)
def test_the_first_names_stand_for_all(count: int, said: str) -> None:
    assert few("abcdefghijklmnopqrstuvwxyz"[:count]) == said
