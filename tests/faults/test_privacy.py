"""Who a patient is and where stays in the DICOM files: nothing written by any command tells, packed or not."""

import io
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gwunet.cli import convert, evaluate, export, plan_and_preprocess, predict, report

PLANTED = {
    (0x0008, 0x0018): (b"UI", "1.2.826.777.111"),
    (0x0008, 0x0020): (b"DA", "19870611"),
    (0x0008, 0x0050): (b"SH", "ACC4711KX"),
    (0x0008, 0x0070): (b"LO", "Roentgenwerk"),
    (0x0008, 0x0080): (b"LO", "Klinikum Sonnental"),
    (0x0008, 0x0081): (b"ST", "Lindenallee 99"),
    (0x0008, 0x0090): (b"PN", "Ueberweiser^Urs"),
    (0x0008, 0x1010): (b"SH", "STATIONQ7"),
    (0x0008, 0x1030): (b"LO", "Koronarstudie Q"),
    (0x0008, 0x1050): (b"PN", "Chirurg^Carla"),
    (0x0009, 0x0010): (b"LO", "GEHEIMHERSTELLER"),
    (0x0009, 0x1001): (b"LO", "PRIVATTEXT55"),
    (0x0010, 0x0010): (b"PN", "Musterfrau^Erika"),
    (0x0010, 0x0020): (b"LO", "PAT-0815-XY"),
    (0x0010, 0x0030): (b"DA", "19420229"),
    (0x0010, 0x1000): (b"LO", "ANDERENUMMER3"),
    (0x0010, 0x1040): (b"LO", "Wohnweg 12b"),
    (0x0010, 0x4000): (b"LT", "Anmerkung Zwei"),
    (0x0018, 0x1000): (b"LO", "SERIENNR6161"),
    (0x0018, 0x1030): (b"LO", "Protokollname W"),
    (0x0020, 0x000D): (b"UI", "1.2.826.777.222"),
    (0x0020, 0x000E): (b"UI", "1.2.826.777.333"),
    (0x0020, 0x0010): (b"SH", "STUDIE909"),
    (0x0020, 0x4000): (b"LT", "Bildtext Drei"),
}
"""Group and element, value representation, and what stands there."""
FOLDERS = "Musterfrau_Erika_geb_1942"
"""Names of people stand in paths as well."""


def secrets() -> list[str]:
    """Words to be found nowhere, in lower case."""
    words = [FOLDERS, "aufnahme_von_erika"]
    for _, text in PLANTED.values():
        words += [text, *(part for part in re.split(r"[\^ ]", text) if len(part) > 4)]
    return sorted({word.lower() for word in words})


def write_run(path: Path, number: int) -> None:
    """Two frames in explicit little endian, after DICOM PS3.5 section 7.1.2."""

    def element(tag: tuple[int, int], kind: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        long = kind in (b"OW", b"UN")
        length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        return struct.pack("<HH", *tag) + kind + length + value

    elements = {tag: element(tag, kind, text.encode()) for tag, (kind, text) in PLANTED.items()}
    elements |= {
        tag: element(tag, b"US", struct.pack("<H", value))
        for tag, value in {
            (0x0028, 0x0002): 1,
            (0x0028, 0x0010): 64,
            (0x0028, 0x0011): 64,
            (0x0028, 0x0100): 16,
            (0x0028, 0x0101): 10,
            (0x0028, 0x0102): 9,
            (0x0028, 0x0103): 0,
        }.items()
    }
    for tag, kind, text in (
        ((0x0008, 0x0060), b"CS", "XA"),
        ((0x0018, 0x1063), b"DS", "66.7"),
        ((0x0018, 0x1164), b"DS", "0.2\\0.2"),
        ((0x0020, 0x0013), b"IS", str(number)),
        ((0x0028, 0x0004), b"CS", "MONOCHROME2"),
        ((0x0028, 0x0008), b"IS", "2"),
    ):
        elements[tag] = element(tag, kind, text.encode())
    uid = PLANTED[0x0008, 0x0018][1] + f".{number}"
    elements[0x0008, 0x0018] = element((0x0008, 0x0018), b"UI", uid.encode())
    pixels = np.random.default_rng(number).integers(200, 800, (2, 64, 64), np.uint16)
    elements[0x7FE0, 0x0010] = element((0x7FE0, 0x0010), b"OW", pixels.tobytes())
    meta = element((0x0002, 0x0003), b"UI", uid.encode()) + element((0x0002, 0x0010), b"UI", b"1.2.840.10008.1.2.1")
    meta += element((0x0002, 0x0016), b"AE", b"STATIONQ7")
    group = element((0x0002, 0x0000), b"UL", struct.pack("<I", len(meta)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM" + group + meta + b"".join(elements[tag] for tag in sorted(elements)))


def texts_of(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's bytes and those packed in it: entries of zips (also .npz, .pt), chunks of PNG, streams of PDF."""
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.namelist():
                yield from texts_of(f"{name}/{entry}", entry.encode() + b"\n" + archive.read(entry))
    if content.startswith(b"\x89PNG"):
        for match in re.finditer(rb"(zTXt|iTXt|iCCP|eXIf)", content):
            for start in range(match.end(), min(match.end() + 90, len(content))):
                try:
                    yield f"{name}/{match[0].decode()}", zlib.decompressobj().decompress(content[start:])
                except zlib.error:
                    continue


def tellers(folder: Path) -> list[str]:
    """Files below that hold a planted word, in their names or contents, in any of the usual encodings."""
    found = []
    for path in folder.rglob("*"):
        names = [(str(path.relative_to(folder)), str(path.relative_to(folder)).encode())]
        contents = texts_of(path.name, path.read_bytes()) if path.is_file() else iter(())
        for place, content in (*names, *contents):
            lower = content.lower()
            found += [
                f"{path.relative_to(folder)} ({place}): {word}"
                for word in secrets()
                if any(word.encode(kind) in lower for kind in ("utf-8", "utf-16-le", "utf-16-be"))
            ]
    return found


def test_what_is_searched_for_would_be_found(tmp_path: Path) -> None:
    """In the DICOM file itself, in a zip in a zip, and in compressed text of a picture."""
    write_run(tmp_path / "a" / "run.dcm", 1)
    assert {line.rsplit(": ", 1)[1] for line in tellers(tmp_path)} >= {
        text.lower() for tag, (_, text) in PLANTED.items()
    }
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", '{"name": "Musterfrau^Erika"}')
    folder = tmp_path / "b"
    folder.mkdir()
    with zipfile.ZipFile(folder / "outer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.zip", inner.getvalue())
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nzTXtComment\0\0" + zlib.compress(b"PAT-0815-XY"))
    assert {line.split(" ")[0] for line in tellers(folder)} == {"outer.zip", "a.png"}


def test_nothing_of_a_header_reaches_any_file(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "hospital" / FOLDERS
    for number in range(2):
        write_run(source / "STUDIE909" / f"aufnahme_von_erika_{number}.dcm", number)
    root = tmp_path / "ws"
    for part in ("preprocessed", "results", "raw"):
        shutil.copytree(whole / part, root / part)
    workspace = ["--workspace", str(root)]
    assert convert.main(["dicom", str(source), "Dataset777_New", *workspace]) == 0
    raw = root / "raw" / "Dataset777_New"
    frames = sorted(raw.glob("imagesTs/*.png"))
    assert len(frames) == 4
    described = (raw / "dataset.json").read_text()
    assert "0.2" in described  # the spacing,
    assert "66.7" in described  # and the time between frames, are what comes over
    # Annotated as by a person, so that it is trained on too.
    mask = np.zeros((64, 64), np.uint8)
    mask[30:33, 5:60] = 255
    (raw / "labelsTr").mkdir()
    (raw / "imagesTs").rename(raw / "imagesTr")
    from PIL import Image

    for path in frames:
        Image.fromarray(mask).save(raw / "labelsTr" / path.name)
    plan = ["-d", "777", "-c", "fganet", "--target_device", "cpu", "-np", "1", *workspace]
    assert plan_and_preprocess.main(plan) == 0
    # The files themselves are predicted as well, from their own folder: only the output's names are the user's.
    out = root / "predicted"
    model = ["-d", "901", "--device", "cpu", "--overlay", "--save_probabilities", *workspace]
    assert predict.main(["-i", str(raw / "imagesTr"), "-o", str(out), "--track", *model]) == 0
    assert evaluate.main(["-r", str(raw / "labelsTr"), "-p", str(out), "-np", "1"]) == 0
    assert report.main(["777", "-p", str(out), "-o", str(root / "page.html"), *workspace]) == 0
    for kind in ("zip", "onnx"):
        exported = ["901", "--format", kind, "-o", str(root / f"model.{kind}"), *workspace]
        assert export.main(exported) == 0
    assert tellers(root) == []
    capsys.readouterr()


def test_a_prediction_of_dicom_files_holds_their_names_and_no_more(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results are named after the files, which are the user's own choice; nothing of what is in them."""
    source = tmp_path / "hospital"
    write_run(source / "run7.dcm", 1)
    out = tmp_path / "out"
    flags = ["-d", "901", "--device", "cpu", "--track", "--overlay", "--workspace", str(whole)]
    assert predict.main(["-i", str(source), "-o", str(out), *flags]) == 0
    assert len(list(out.rglob("run7*.png"))) >= 2
    assert tellers(out) == []
    capsys.readouterr()
