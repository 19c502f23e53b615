"""The order of a series' files by what their headers say."""

import pytest

from gwunet.io.dicom_order import OrderTags, in_order


@pytest.mark.parametrize(
    ("files", "expected", "by_name"),
    [
        ({"a": {"instance": 12}, "b": {"instance": 9}}, "b a", False),
        ({"a": {"instance": 1, "acquisition": 2}, "b": {"instance": 2, "acquisition": 1}}, "b a", False),
        ({"a": {"instance": 2}, "b": {"instance": 1, "acquisition": 7}}, "b a", False),  # one number cannot be compared
        ({"a": {"instance": 1, "created": 93015.5}, "b": {"instance": 1, "created": 93015.1}}, "b a", False),
        ({"a": {"acquired": 2, "created": 1}, "b": {"acquired": 1, "created": 2}}, "b a", False),
        ({"a10": {}, "a9": {}, "a1": {}}, "a1 a9 a10", True),
        ({"a2": {"instance": 4}, "a10": {"instance": 4}, "a1": {"instance": 7}}, "a2 a10 a1", True),
        ({"a": {}}, "a", False),
    ],
)
def test_files_are_in_the_order_of_their_headers(
    files: dict[str, dict[str, float]], expected: str, by_name: bool
) -> None:
    assert in_order({name: OrderTags(**tags) for name, tags in files.items()}) == (expected.split(), by_name)


def test_numbers_that_begin_anew_with_each_acquisition_do_not_mix_two() -> None:
    files = {
        f"{time}-{instance}": OrderTags(instance=instance, acquired=time) for instance in (1, 2, 3) for time in (20, 10)
    }
    assert in_order(files) == (["10-1", "10-2", "10-3", "20-1", "20-2", "20-3"], False)
