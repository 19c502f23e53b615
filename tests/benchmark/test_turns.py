"""Ways that are timed in turn."""

import time

from gwunet.benchmark.turns import seconds_in_turn


def test_ways_take_turns_and_those_of_the_warm_up_do_not_count() -> None:
    done: list[str] = []

    def slow() -> None:
        done.append("slow")
        time.sleep(0.02)

    found = seconds_in_turn({"slow": slow, "fast": lambda: done.append("fast")}, 3, warm_up=1)
    assert done == ["slow", "fast"] * 4
    assert [len(seconds) for seconds in found.values()] == [3, 3]
    assert min(found["slow"]) >= 0.02
    assert all(fast < slow for fast, slow in zip(found["fast"], found["slow"], strict=True))
