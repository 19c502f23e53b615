"""Pictures of a folder as one: every N-th of them, in rows.

    gw_predict -i RUN -o OUT -d DATASET --track --overlay
    python benchmarks/contact_sheet.py OUT/overlays SHEET.jpg [--every 8] [--columns 4] [--edge 256]

Pictures are taken by their names' order and labelled by their number in it, from 0.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

LABEL_PX = 14
QUALITY = 88


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sheet", type=Path, help=".jpg or .png")
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--edge", type=int, default=256, help="of each picture, pixels")
    arguments = parser.parse_args()
    chosen = list(enumerate(sorted(arguments.folder.rglob("*.png"))))[:: arguments.every]
    if not chosen:
        sys.exit(f"{arguments.folder}: found no PNG files; wanted the overlays of gw_predict --overlay")
    sheet(chosen, arguments.columns, arguments.edge).save(arguments.sheet, quality=QUALITY)


def sheet(chosen: Sequence[tuple[int, Path]], columns: int, edge: int) -> Image.Image:
    """The pictures with their numbers, row by row."""
    rows = math.ceil(len(chosen) / columns)
    whole = Image.new("RGB", (columns * edge, rows * edge))
    font = ImageFont.load_default(LABEL_PX)
    for place, (number, path) in enumerate(chosen):
        with Image.open(path) as picture:
            small = ImageOps.pad(picture.convert("RGB"), (edge, edge), Image.Resampling.LANCZOS)
        pen = ImageDraw.Draw(small)
        pen.text((4, 2), str(number), (255, 255, 255), font, stroke_width=2, stroke_fill=(0, 0, 0))
        whole.paste(small, (place % columns * edge, place // columns * edge))
    return whole


if __name__ == "__main__":
    main()
