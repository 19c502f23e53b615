"""What libjpeg and OpenJPEG complain of on standard error, which is the only way they report some damage.

Standard error belongs to the whole process. So only lines that these libraries write, word for word, are taken for
theirs; everything else that comes meanwhile goes where it was meant to go. A thread may write the same words at that
moment (another reader's, or the log's on another file): a complaint counts if decoding again brings it again.

What remains: a program that another thread starts while a frame is decoded writes its standard error to nowhere.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, TypeVar

T = TypeVar("T")

# libjpeg is built once per precision: the ones that do not fit say so before the right one is tried. Some encoders
# write a spectral band that is wrong for a sequential scan, where it has no meaning.
_HARMLESS = (
    r"Unsupported JPEG data precision \d+",
    r"Invalid SOS parameters for sequential JPEG",
)
_DAMAGE = (
    # libjpeg, jerror.h: its warnings, and the errors after which GDCM may still return pixels.
    r"Corrupt JPEG data: \d+ extraneous bytes before marker 0x[0-9a-f]{2}",
    r"Corrupt JPEG data: premature end of data segment",
    r"Corrupt JPEG data: bad Huffman code",
    r"Corrupt JPEG data: bad arithmetic code",
    r"Corrupt JPEG data: found marker 0x[0-9a-f]{2} instead of RST\d+",
    r"Corrupt JPEG data: using signed arithmetic",
    r"Premature end of JPEG file",
    r"Premature end of input file",
    r"Inconsistent progression sequence for component \d+ coefficient -?\d+",
    r"Bogus (?:Huffman table definition|JPEG colorspace|input colorspace|marker length|sampling factors)",
    r"Bogus (?:buffer control mode|virtual array access)",
    r"Bogus (?:DHT|DQT|DAC) index -?\d+",
    r"Bogus DAC value 0x[0-9a-f]+",
    r"Invalid component ID -?\d+ in SOS",
    r"Invalid (?:lossless|progressive) parameters Ss=-?\d+ Se=-?\d+ Ah=-?\d+ Al=-?\d+",
    r"Invalid (?:lossless|progressive) parameters at scan script entry \d+",
    r"Invalid restart interval: -?\d+, must be an integer multiple of the number of MCUs in an MCU_row \(\d+\)",
    r"Invalid scan script at entry \d+",
    r"Invalid JPEG file structure: (?:two SOF markers|missing SOS marker|two SOI markers|SOS before SOF)",
    r"Unsupported JPEG process: SOF type 0x[0-9a-f]{2}",
    r"Unsupported marker type 0x[0-9a-f]{2}",
    r"Unsupported color conversion request",
    r"Empty JPEG image \(DNL not supported\)",
    # OpenJPEG, as far as it may go on; with most of what it complains of it fails.
    r"read: segment too long \(\d+\) with max \(\d+\) for codeblock \d+ \(p=\d+, b=\d+, r=\d+, c=\d+\)",
    r"opj_t1_decode_cblk\(\): unsupported bpno_plus_one = \d+ >= 31",
    r"Invalid bit number \d+ in opj_t2_read_packet_header\(\)",
    r"Invalid precinct",
    r"Malformed HT codeblock\. Invalid codeblock length values\.",
    r"Number of components \(\d+\) is inconsistent with a MCT\. Skip the MCT step\.",
    r"(?:Marker|Tile part length) size inconsistent with stream length",
)
# At the end of a line, since a progress bar may stand before it that another thread has not ended yet.
_OWN_LINE = re.compile(f"(?:(?P<harmless>{'|'.join(_HARMLESS)})|(?P<damage>{'|'.join(_DAMAGE)}))\\s*$")
_one_at_a_time = threading.Lock()

logger = logging.getLogger(__name__)


def guard_standard_error() -> None:
    """Keep the number of standard error from becoming that of a file, where a process was started without it.

    The libraries write to it by its number, and would write into that file.
    """
    try:
        os.fstat(2)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != 2:
            os.dup2(nowhere, 2)
            os.close(nowhere)


def complaints_while(decode: Callable[[], T]) -> tuple[T, list[str]]:
    """What ``decode`` returns, and what the libraries complain of whenever it runs.

    Args:
        decode: runs twice where they seem to complain.
    """
    decoded, complaints = _watched(decode)
    if complaints:
        again = set(_watched(decode)[1])
        complaints = [complaint for complaint in complaints if complaint in again]
    return decoded, complaints


def _watched(decode: Callable[[], T]) -> tuple[T, list[str]]:
    with _one_at_a_time, tempfile.TemporaryFile() as caught:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # it may be None, closed, or go nowhere
            sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            try:
                decoded = decode()
            finally:
                os.dup2(kept, 2)
                complaints = _sort_out(caught)
        finally:
            os.close(kept)
    return decoded, complaints


def _sort_out(caught: IO[bytes]) -> list[str]:
    """The libraries' complaints; all that is not theirs goes on to standard error."""
    caught.seek(0)
    complaints = []
    for line in caught:
        found = _OWN_LINE.search(line.decode("latin-1"))
        if found is None:
            _pass_on(line)
            continue
        _pass_on(line[: found.start()])
        text = found[0].strip()
        if found["damage"]:
            complaints.append(text)
        else:
            logger.debug("GDCM: %s", text)
    return complaints


def _pass_on(text: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more
        while text:
            text = text[os.write(2, text) :]
