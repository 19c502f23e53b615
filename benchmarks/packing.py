"""Size and time of preprocessed frames under several lossless codings; why ``gwunet.data.packing`` is what it is.

    python benchmarks/packing.py -d DATASET [--workspace FOLDER] [--frames 25]

Takes frames of a preprocessed dataset as they lie in the store (0 outside the exposed field). One thread; medians over
frames. Every coding is checked to give the same pixels back.
"""

import argparse
import io
import statistics
import time
import zlib
from collections.abc import Callable, Iterator

import blosc2
import numpy as np
from PIL import Image

from gwunet.data.packing import pack, unpack
from gwunet.data.store import PreprocessedStore
from gwunet.workspace import Workspace

Coding = tuple[str, Callable[[np.ndarray], bytes], Callable[[bytes, np.ndarray], np.ndarray]]


def codings() -> Iterator[Coding]:
    """Name, encoder, and decoder that is given the array it should come to (for shape and type alone)."""

    def plain(data: bytes, like: np.ndarray) -> np.ndarray:
        return np.frombuffer(data, like.dtype).reshape(like.shape)

    def png(level: int) -> Callable[[np.ndarray], bytes]:
        def encode(pixels: np.ndarray) -> bytes:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "png", compress_level=level)
            return file.getvalue()

        return encode

    def zstd(level: int, kind: blosc2.Filter) -> Callable[[np.ndarray], bytes]:
        def encode(pixels: np.ndarray) -> bytes:
            size = pixels.dtype.itemsize
            settings = blosc2.CParams(
                codec=blosc2.Codec.ZSTD, clevel=level, filters=[kind], filters_meta=[0], typesize=size, nthreads=1
            )
            return blosc2.compress2(pixels.tobytes(), cparams=settings)

        return encode

    def unblosc(data: bytes, like: np.ndarray) -> np.ndarray:
        return plain(blosc2.decompress2(data, dparams=blosc2.DParams(nthreads=1)), like)

    yield "as it is", lambda pixels: pixels.tobytes(), plain
    yield "deflate, level 6", lambda pixels: zlib.compress(pixels, 6), lambda d, like: plain(zlib.decompress(d), like)
    for level in (1, 6):
        yield f"PNG, level {level}", png(level), lambda d, like: np.asarray(Image.open(io.BytesIO(d)), like.dtype)
    for level in (1, 5, 9):
        yield f"Blosc2 Zstandard {level}, bit shuffle", zstd(level, blosc2.Filter.BITSHUFFLE), unblosc
    yield "row differences, deflate (gwunet)", pack, lambda d, like: unpack(d, like.shape, like.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True)
    parser.add_argument("--workspace")
    parser.add_argument("--frames", type=int, default=25)
    arguments = parser.parse_args()
    workspace = Workspace.find(arguments.workspace)
    store = PreprocessedStore(workspace.preprocessed_dataset(workspace.dataset_name(arguments.dataset)))
    chosen = store.cases[:: max(1, len(store.cases) // arguments.frames)][: arguments.frames]
    frames = [np.ascontiguousarray(store.frame(case).pixels) for case in chosen]
    pixels = sum(frame.size for frame in frames)
    print(f"{len(frames)} frames, {pixels / len(frames):.0f} pixels each on average\n")
    print("| coding | bytes a pixel | write, ms | read, ms |\n|---|---|---|---|")
    for name, encode, decode in codings():
        size, writing, reading = 0, [], []
        for frame in frames:
            start = time.perf_counter()
            data = encode(frame)
            between = time.perf_counter()
            back = decode(data, frame)
            reading.append(1000 * (time.perf_counter() - between))
            writing.append(1000 * (between - start))
            size += len(data)
            if not np.array_equal(back, frame):
                raise SystemExit(f"{name}: other pixels came back")
        print(f"| {name} | {size / pixels:.3f} | {statistics.median(writing):.2f} | {statistics.median(reading):.2f} |")


if __name__ == "__main__":
    main()
