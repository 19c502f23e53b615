"""DICOM into a dataset: who is who stays hidden, copies count once, rates are kept. Files written by SimpleITK."""

import hashlib
import hmac
import json
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from gwunet.convert.dicom import convert_dicom
from gwunet.convert.pseudonym import Pseudonyms, origin_of_name
from gwunet.convert.rate import RateSelection
from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError, OutputError, UsageError
from gwunet.grouping import Origin

RUN = np.random.default_rng(0).integers(0, 1024, (12, 16, 24), dtype=np.uint16)
KEY = bytes(range(32))
TAGS = {
    "modality": "0008|0060",
    "sop": "0008|0018",
    "name": "0010|0010",
    "patient": "0010|0020",
    "issuer": "0010|0021",
    "institution": "0008|0080",
    "frame_time": "0018|1063",
    "study": "0020|000d",
    "series": "0020|000e",
    "acquisition": "0020|0012",
    "number": "0020|0013",
    "burned_in": "0028|0301",
}


def save(path: Path, frames: NDArray[Any] = RUN, **tags: str) -> None:
    """A file with the tags of ``TAGS``; XA of one patient by default."""
    image = SimpleITK.GetImageFromArray(frames)
    default = {"modality": "XA", "patient": "MUELLER1950", "name": "Mueller^Eva", "study": "1.2.3", "series": "1.2.4"}
    for key, value in (default | {"burned_in": "NO", "sop": f"1.2.5.{zlib.crc32(str(path).encode())}"} | tags).items():
        image.SetMetaData(TAGS[key], value)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.KeepOriginalImageUIDOn()
    writer.Execute(image)


def save_bare(path: Path, frame: NDArray[np.uint16], values: dict[int, tuple[bytes, str]]) -> None:
    """A file of one frame of 10 bits with nothing but these values (VR and text), which SimpleITK would add to.

    Written from DICOM PS3.5 section 7.1.2.
    """

    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        long = vr in (b"OW", b"SQ", b"UN", b"UT")
        length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + length + value

    image = {0x00280002: 1, 0x00280010: frame.shape[0], 0x00280011: frame.shape[1]}
    image |= {0x00280100: 16, 0x00280101: 10, 0x00280102: 9, 0x00280103: 0}
    plain = {0x00080060: (b"CS", "XA"), 0x00280004: (b"CS", "MONOCHROME2")} | values
    coded = {tag: element(tag, vr, text.encode()) for tag, (vr, text) in plain.items()}
    coded |= {tag: element(tag, b"US", struct.pack("<H", number)) for tag, number in image.items()}
    meta = element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
    body = b"".join(coded[tag] for tag in sorted(coded)) + element(0x7FE00010, b"OW", frame.tobytes())
    path.write_bytes(bytes(128) + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta + body)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "hospital").mkdir()
    return tmp_path / "hospital"


def convert(source: Path, key: bytes = KEY, **options: Any) -> tuple[Dataset, Conversion]:
    folder = source.parent / "raw" / f"Dataset{len(list(source.parent.glob('raw/*'))):03d}_Made"
    with DatasetWriter(folder) as writer:
        convert_dicom(source, writer, pseudonyms=Pseudonyms(key), **options)
        conversion = writer.finish()
    return Dataset.open(folder), conversion


def test_runs_in_nested_folders_become_test_cases(source: Path) -> None:
    save(source / "eva" / "monday" / "run2.dcm", RUN[5:7], number="2", frame_time="40")
    save(source / "eva" / "monday" / "run1.dcm", RUN[:5], number="1", frame_time="40")
    save(source / "otto" / "spot", RUN[7:8], patient="SCHMIDT", series="1.2.9")
    dataset, conversion = convert(source)
    assert conversion.skipped == ()
    assert dataset.training == ()
    source_of = {case: source for source, case in conversion.written}
    first = [case for case in dataset.test if "/eva/" in source_of[case.name]]
    assert len({case.patient for case in first}) == len({case.sequence for case in first}) == 1
    assert len({case.patient for case in dataset.test}) == 2
    in_time = sorted(first, key=lambda case: case.frame or 0)
    assert [case.frame for case in in_time] == list(range(7))
    np.testing.assert_array_equal(np.stack([dataset.read_frame(case) for case in in_time]), RUN[:7])
    for case in dataset.test:  # what is left of the declaration where frames are copied elsewhere
        assert origin_of_name(case.name) == Origin(patient=case.patient, sequence=case.sequence)
    times = {entry.get("frame_time_ms") for entry in dataset.description["cases"].values()}
    assert times == {40.0, None}


def test_no_identity_is_carried_over(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    save(source / "mueller_eva.dcm", RUN[:2], sop="1.2.777")
    dataset, _ = convert(source)
    texts = [str(path.relative_to(dataset.folder)) for path in dataset.folder.rglob("*")] + [caplog.text]
    texts.append((dataset.folder / "dataset.json").read_text())
    for secret in ("mueller", "1950", "1.2.3", "1.2.4", "1.2.777", KEY.hex()):
        assert not [text for text in texts if secret in text.lower()]
    plain = hashlib.sha256(b"MUELLER1950").hexdigest()[:12]
    assert plain not in "".join(texts)


HEADER_TEXT = {
    tag: (vr, f"{number}SECRET{number}")
    for number, (tag, vr) in enumerate(
        {
            0x00080005: b"CS",  # character set
            0x00080018: b"UI",  # SOP instance
            0x00080020: b"DA",  # study date
            0x00080030: b"TM",  # study time
            0x00080050: b"SH",  # accession number
            0x00080070: b"LO",  # manufacturer
            0x00080080: b"LO",  # institution
            0x00080081: b"ST",  # its address
            0x00080090: b"PN",  # referring physician
            0x00081010: b"SH",  # station
            0x00081030: b"LO",  # study description
            0x0008103E: b"LO",  # series description
            0x00081050: b"PN",  # performing physician
            0x00081070: b"PN",  # operator
            0x00081090: b"LO",  # model
            0x00091001: b"LO",  # private
            0x00100010: b"PN",  # patient's name
            0x00100020: b"LO",  # patient's number
            0x00100021: b"LO",  # who gave it
            0x00100030: b"DA",  # birth date
            0x00101000: b"LO",  # other numbers
            0x00104000: b"LT",  # comments
            0x00181000: b"LO",  # serial number of the device
            0x0020000D: b"UI",  # study
            0x0020000E: b"UI",  # series
            0x00200010: b"SH",  # study's number
            0x00204000: b"LT",  # image comments
            0x00280301: b"CS",  # burned-in annotation
            0x00321032: b"PN",  # requesting physician
            0x00400254: b"LO",  # procedure
            0x0040A730: b"UT",  # report
        }.items()
    )
}


def test_no_text_of_the_header_is_written_or_logged(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    save_bare(source / "SECRET.dcm", RUN[0], HEADER_TEXT)
    dataset, _ = convert(source)
    (case,) = dataset.test
    assert (case.patient, case.site) != (None, None)
    files = [path for path in dataset.folder.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["dataset.json", f"{case.name}.png"]
    for path in files:
        assert "SECRET" not in str(path.relative_to(dataset.folder)).upper()
        assert b"SECRET" not in path.read_bytes().upper()
    picture = case.image.read_bytes()
    chunks, at = [], 8
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        chunks.append(picture[at + 4 : at + 8])
        at += length + 12
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}  # no text that could be compressed
    assert "SECRET" not in caplog.text.replace("SECRET.dcm", "")


def test_hospitals_are_told_apart_by_names_that_do_not_say_which(source: Path) -> None:
    for index, institution in enumerate(("Klinikum Nord", "Klinikum Nord", "St. Anna", "")):
        save(source / f"{index}.dcm", RUN[:1], institution=institution, series=f"1.2.4.{index}", number=str(index))
    dataset, conversion = convert(source)
    site_of = {Path(path).stem: dataset.case(case).site for path, case in conversion.written}
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (b"site", b"Klinikum Nord"))
    assert site_of["0"] == site_of["1"] == "h" + hmac.digest(KEY, message, "sha256").hex()[:12]
    assert site_of["2"] not in (site_of["0"], None)
    assert site_of["3"] is None
    assert "Klinikum" not in (dataset.folder / "dataset.json").read_text()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("modality", ["XA", "RF"])
def test_bright_is_bright_in_the_dataset(source: Path, photometric: str, modality: str) -> None:
    save_bare(source / "a.dcm", RUN[0], {0x00280004: (b"CS", photometric), 0x00080060: (b"CS", modality)})
    dataset, _ = convert(source)
    expected = RUN[0] if photometric == "MONOCHROME2" else 1023 - RUN[0]
    np.testing.assert_array_equal(dataset.read_frame(dataset.test[0]), expected)


def test_names_are_keyed_hashes(source: Path) -> None:
    save(source / "a.dcm", RUN[:1])
    first, again, other = (convert(source, key)[0].test[0] for key in (KEY, KEY, bytes(32)))
    assert first.name == again.name
    assert first.patient != other.patient
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (b"patient", b"", b"MUELLER1950"))
    assert first.patient == "p" + hmac.digest(KEY, message, "sha256").hex()[:12]
    assert Pseudonyms(KEY).name("ab", "c") != Pseudonyms(KEY).name("a", "bc")


def test_files_without_patient_stay_together_by_study(source: Path) -> None:
    for index, study in enumerate(("1.2.3", "1.2.3", "1.2.8")):
        save(source / f"{index}.dcm", RUN[:1], patient="", study=study, series=f"1.2.4.{index}")
    dataset, _ = convert(source)
    assert len({case.patient for case in dataset.test}) == 2
    assert len({case.sequence for case in dataset.test}) == 3


def test_files_without_patient_are_the_patients_of_their_study(source: Path) -> None:
    save(source / "named.dcm", RUN[:1])
    save(source / "bare.dcm", RUN[:1], patient="")
    for index, patient in enumerate(("SCHMIDT", "MEIER", "")):
        save(source / f"{index}.dcm", RUN[:1], patient=patient, study="1.2.8", series="1.2.9")
    dataset, conversion = convert(source)
    case_of = {Path(path).stem: dataset.case(case) for path, case in conversion.written}
    assert case_of["bare"].patient == case_of["named"].patient
    assert case_of["bare"].sequence == case_of["named"].sequence
    assert sorted(case_of[name].frame for name in ("bare", "named")) == [0, 1]
    assert len({case_of[name].patient for name in "012"}) == 3  # which of the two it is, nobody knows


def test_files_with_and_without_issuer_are_one_patients(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Straight from the device, and through the archive, which adds who gave the number."""
    save(source / "device.dcm", RUN[:1], study="1.2.31", series="1.2.41")
    save(source / "archive.dcm", RUN[:1], issuer="Ward7", study="1.2.32", series="1.2.42")
    for issuer in ("Ward7", "Ward8"):
        save(source / f"{issuer}.dcm", RUN[:1], patient="SCHMIDT", issuer=issuer, series=f"1.2.{issuer[-1]}")
    dataset, conversion = convert(source)
    patient_of = {Path(path).stem: dataset.case(case).patient for path, case in conversion.written}
    assert patient_of["device"] == patient_of["archive"] == "p" + Pseudonyms(KEY).name("patient", "", "MUELLER1950")
    assert patient_of["Ward7"] == "p" + Pseudonyms(KEY).name("patient", "Ward7", "SCHMIDT")
    assert len(set(patient_of.values())) == 3
    (warning,) = caplog.messages
    assert warning.startswith("1 patient numbers stand in some files with, in others without Issuer")


@pytest.mark.parametrize(
    ("tags", "warned"),
    [
        ([{"acquisition": "1", "number": "2"}, {"acquisition": "2", "number": "1"}], False),
        ([{}, {}], True),
        ([{"number": "1"}, {}], True),
    ],
)
def test_single_frames_are_in_the_order_of_their_headers_then_their_names(
    source: Path, caplog: pytest.LogCaptureFixture, tags: list[dict[str, str]], warned: bool
) -> None:
    for name, said in zip(("IM2", "IM10"), tags, strict=True):
        save(source / f"{name}.dcm", RUN[:1], **said)
    dataset, conversion = convert(source)
    frame_of = {Path(path).stem: dataset.case(case).frame for path, case in conversion.written}
    assert frame_of == {"IM2": 0, "IM10": 1}
    assert [str(source / "IM2.dcm") in text for text in caplog.messages] == [True] * warned


def test_copies_count_once_and_are_listed(source: Path) -> None:
    save(source / "a.dcm", RUN[:2], sop="1.2.5")
    save(source / "deep" / "copy.dcm", RUN[:2], sop="1.2.5")
    dataset, conversion = convert(source)
    assert len(dataset.test) == 2
    ((skipped, reason),) = conversion.skipped
    assert skipped == str(source / "deep" / "copy.dcm")
    assert "the same SOP instance with the same pixels as" in reason
    assert str(source / "a.dcm") in reason
    assert not conversion.failed


@pytest.mark.parametrize("other", [RUN[1:3], RUN[:1]])
def test_one_instance_with_different_pixels_is_an_error_naming_both(source: Path, other: NDArray[Any]) -> None:
    save(source / "a.dcm", RUN[:2], sop="1.2.5")
    save(source / "b.dcm", other, sop="1.2.5")
    with pytest.raises(DatasetError, match=r"b\.dcm: found the SOP instance of .*a\.dcm with different pixels"):
        convert(source)
    assert list(source.parent.glob("raw/*")) == []


def test_what_is_no_xray_run_is_skipped_by_name(source: Path) -> None:
    save(source / "good.dcm", RUN[:1])
    save(source / "rf.dcm", RUN[:1], modality="RF")
    save(source / "ct.dcm", RUN[:1], modality="CT")
    (source / "report.txt").write_text("nothing to see")
    (source / ".hidden").write_text("nothing to see")
    _, conversion = convert(source)
    assert len(conversion.written) == 2
    assert not conversion.failed
    assert {Path(path).name: reason for path, reason in conversion.skipped} == {
        "ct.dcm": "modality CT, not XA or RF",
        "report.txt": "no DICOM file",
    }
    (source / "torn.DCM").write_bytes(b"no mark")
    (source / "1.2.840.7").touch()
    _, conversion = convert(source)
    assert conversion.failed
    for name in ("torn.DCM", "1.2.840.7"):
        assert dict(conversion.skipped)[str(source / name)].startswith("found no DICOM file; wanted the mark DICM")
    whole = (source / "good.dcm").read_bytes()
    (source / "cut.dcm").write_bytes(whole[:-100])
    _, conversion = convert(source)
    assert conversion.failed
    assert "a damaged DICOM file" in dict(conversion.skipped)[str(source / "cut.dcm")]


@pytest.mark.parametrize(
    ("burned_in", "warned"), [("YES", "YES in 1 files (.*text.dcm)"), ("", "absent in 1"), ("NO", "")]
)
def test_text_in_the_pixels_is_warned_of(
    source: Path, caplog: pytest.LogCaptureFixture, burned_in: str, warned: str
) -> None:
    save(source / "text.dcm", RUN[:1], burned_in=burned_in)
    convert(source)
    found = [record.getMessage() for record in caplog.records if "Burned In Annotation" in record.getMessage()]
    assert len(found) == bool(warned)
    if warned:
        assert all(part in found[0] for part in warned.split("(.*"))


def test_one_warning_counts_the_files_with_and_without_the_tag(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    for index, burned_in in enumerate(("YES", "YES", "", "NO", "NO")):
        save(source / f"{index}.dcm", RUN[:1], burned_in=burned_in)
    convert(source)
    (warning,) = [text for text in caplog.messages if "Burned In Annotation" in text]
    assert f"YES in 2 files ({source / '0.dcm'}, {source / '1.dcm'}) and absent in 1" in warning


def test_progress_knows_the_frames_of_all_runs(source: Path, counting: Any) -> None:
    save(source / "a.dcm")
    save(source / "b.dcm")
    convert(source, progress=counting.progress)
    assert counting.seen == [("convert", 2 * len(RUN), 2 * len(RUN))]


def test_frames_are_taken_at_a_rate(source: Path) -> None:
    """At 40 ms from frame to frame, those nearest to 0, 125, 250, 375 ms are 0, 3, 6 and 9."""
    save(source / "run.dcm", RUN, frame_time="40")
    save(source / "untimed.dcm", RUN, series="1.2.8")
    save(source / "spot.dcm", RUN[:1], series="1.2.9", frame_time="40")
    dataset, conversion = convert(source, rate_hz=8.0)
    assert [case.frame for case in sorted(dataset.test, key=lambda case: case.name)] == [0, 3, 6, 9]
    assert {entry["frame_time_ms"] for entry in dataset.description["cases"].values()} == {125.0}
    reasons = {Path(path).stem: reason for path, reason in conversion.skipped}
    assert reasons.keys() == {"untimed", "spot"}
    assert reasons["untimed"].startswith("neither Frame Time")
    assert reasons["spot"].startswith("a single frame, which does not say how long after")
    assert conversion.failed


@pytest.mark.parametrize("rate_hz", [0.0, -8.0, float("nan")])
def test_impossible_rates_are_refused(source: Path, rate_hz: float) -> None:
    with pytest.raises(UsageError, match="--rate: found"):
        convert(source, rate_hz=rate_hz)


@pytest.mark.parametrize(("rate_hz", "frame_time_ms"), [(8, 33.0), (15, 33.0), (3.7, 66.7), (8, 125.0), (50, 40.0)])
def test_chosen_frames_are_the_nearest_to_a_clock(rate_hz: float, frame_time_ms: float) -> None:
    times = frame_time_ms * np.arange(200)
    selection = RateSelection(rate_hz=rate_hz, frame_time_ms=frame_time_ms)
    chosen = [index for index, time in enumerate(times) if selection.takes(time)]
    clock = np.arange(0, times[-1], 1000 / rate_hz)
    nearest = np.unique([np.argmin(np.abs(times - tick)) for tick in clock])
    np.testing.assert_array_equal(chosen[: len(nearest)], nearest)
    assert len(chosen) - len(nearest) in (0, 1)  # a tick may follow the last frame


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Pseudonyms.of_workspace(tmp_path / "new")
    path = tmp_path / "new" / "grouping.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 32
    assert Pseudonyms.of_workspace(tmp_path / "new") == first
    assert Pseudonyms.of_workspace(tmp_path / "other") != first
    assert first.key.hex() not in repr(first)
    path.chmod(0o644)
    Pseudonyms.of_workspace(tmp_path / "new")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "others could read the key" in caplog.text
    path.write_bytes(b"short")
    with pytest.raises(OutputError, match="found 5 bytes; wanted the 32 of a key"):
        Pseudonyms.of_workspace(tmp_path / "new")


def test_a_key_half_written_never_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a reader in between nor a command that is killed there meets an empty key."""

    def random(length: int) -> bytes:
        assert not (tmp_path / "grouping.key").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gwunet.convert.pseudonym.secrets.token_bytes", random)
        with pytest.raises(KeyboardInterrupt):
            Pseudonyms.of_workspace(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(Pseudonyms.of_workspace(tmp_path).key) == 32


def test_the_first_of_two_keys_made_at_once_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grouping.key"

    def random(length: int) -> bytes:
        path.write_bytes(KEY)  # another command is faster
        path.chmod(0o600)
        return bytes(length)

    monkeypatch.setattr("gwunet.convert.pseudonym.secrets.token_bytes", random)
    assert Pseudonyms.of_workspace(tmp_path).key == KEY
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_is_made_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "grouping.key"
    assert Pseudonyms.of_workspace(tmp_path).key == path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


SPACING, CALIBRATION, IMAGER = 0x00280030, 0x00280A02, 0x00181164
MAGNIFICATION, TO_DETECTOR, TO_PATIENT = 0x00181114, 0x00181110, 0x00181111


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({SPACING: "0.3\\0.2", CALIBRATION: "GEOMETRY", IMAGER: "0.5\\0.5"}, ([0.3, 0.2], "patient")),
        ({SPACING: "0.3\\0.2", IMAGER: "0.4\\0.6", MAGNIFICATION: "2"}, ([0.2, 0.3], "patient")),
        ({IMAGER: "0.5\\0.25", TO_DETECTOR: "1000", TO_PATIENT: "500"}, ([0.25, 0.125], "patient")),
        ({SPACING: "0.3\\0.2", IMAGER: "0.5\\0.25"}, ([0.5, 0.25], "detector")),
        ({SPACING: "0.3\\0.2"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_spacing_reaches_the_dataset_by_each_rule(
    source: Path, tags: dict[int, str], expected: tuple[list[float] | None, str | None]
) -> None:
    save_bare(source / "a.dcm", RUN[0], {tag: (b"DS", text) for tag, text in tags.items()})
    dataset, _ = convert(source)
    (entry,) = json.loads((dataset.folder / "dataset.json").read_text())["cases"].values()
    assert (entry.get("pixel_spacing_mm"), entry.get("spacing_plane")) == expected
    spacing = dataset.test[0].pixel_spacing_mm
    assert (None if spacing is None else list(spacing), dataset.test[0].spacing_plane) == expected
