"""Where the tiles of a large frame lie."""

import math


def tile_starts(extent: int, tile: int, step: float) -> tuple[int, ...]:
    """First pixels of tiles that cover ``extent`` evenly, neighbours at most ``step * tile`` or one pixel apart."""
    if extent <= tile:
        return (0,)
    count = math.ceil((extent - tile) / max(1.0, step * tile)) + 1  # else a tiny step gives one tile many times
    return tuple(round(index * (extent - tile) / (count - 1)) for index in range(count))
