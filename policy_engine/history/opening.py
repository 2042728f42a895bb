"""Opens the files of a history, unpacked and within bounds."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from policy_engine.core.problems import InputUnusable, Problem

Compression = Literal["", "gzip", "zstd"]


_ALWAYS_UNPACKED = 1 << 27


_MOST_UNPACKED = 100
"""
What a packed file may hold: this number of bytes in any case, and this multiple of its own size.
Exports pack to a tenth of their
size, even made-up ones to a fiftieth; a few kilobytes that unpack to gigabytes are made to fill memory and time.
"""


@contextmanager
def open_bytes(path: str, compression: Compression) -> Iterator[IO[bytes]]:
    """Open a file and unpack it on the way; damage of the packing raises InputUnusable."""
    with Path(path).open("rb") as raw:
        try:
            if compression == "gzip":
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield bounded(stream, raw)
            elif compression == "zstd":
                with _open_zstd(raw) as unpacked:
                    yield bounded(unpacked, raw)
            else:
                yield raw
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputUnusable(
                Problem(
                    "damaged-packing",
                    f"the packed file is damaged or cut short ({error})",
                    help="fetch or pack it again",
                )
            ) from None
        except OSError as error:
            # A read that fails does not name the file.
            error.filename = error.filename or path
            raise


@contextmanager
def _open_zstd(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    try:
        with zstd.ZstdFile(raw) as stream:
            yield stream  # type: ignore[misc]
    except zstd.ZstdError as error:
        raise EOFError(str(error)) from None


def bounded(stream: Any, packed: IO[bytes], always: int = _ALWAYS_UNPACKED) -> IO[bytes]:
    """What an unpacked stream holds; reading raises InputUnusable where it is far more than the packed file's size."""
    most = max(always, _MOST_UNPACKED * os.fstat(packed.fileno()).st_size)
    return io.BufferedReader(_Unpacked(stream, most), 1 << 17)


class _Unpacked(io.RawIOBase):
    """What a packed stream holds; raises InputUnusable where it is more than a file of its size holds in good faith."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._left = most
        self._most = most

    def readable(self) -> bool:
        """It can be read, and nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the stream goes."""
        size: int = self._stream.readinto(buffer)
        self._left -= size
        if self._left < 0:
            message = (
                f"the packed file unpacks to more than {self._most >> 20:,} MiB, far more than its size lets expect"
            )
            help_ = "if it is what you think it is, unpack it yourself and give the unpacked file"
            raise InputUnusable(Problem("packed-too-tightly", message, help=help_))
        return size
