"""Work done ahead in a thread of its own, and never far ahead."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

LOOK_S = 0.1
"""How often a thread that waits looks whether anybody still wants what it has."""


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The same items in the same order, at most ``count`` of them made before they are asked for.

    The iterable runs in a thread. What it raises is raised here in the place of the item; it is left (and closed, if it
    can be) when this iterator is.
    """
    made: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(count)
    left = threading.Event()

    def put(is_item: bool, value: Item | BaseException | None) -> bool:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                made.put((is_item, value), timeout=LOOK_S)
                return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(True, item):
                    break
            else:
                put(False, None)
        except BaseException as problem:
            put(False, problem)
        finally:
            close = getattr(items, "close", None)
            if close is not None and left.is_set():
                close()

    threading.Thread(target=make, name="ahead", daemon=True).start()
    try:
        while True:
            is_item, value = made.get()
            if is_item:
                yield value  # type: ignore[misc]
            elif value is None:
                return
            else:
                raise value  # type: ignore[misc]
    finally:
        left.set()
