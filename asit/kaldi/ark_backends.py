"""What reads and writes the bytes of archives. The only module that knows kaldiio and kaldi_native_io.

All back ends read and write the same archives. ``asit`` needs no library (:mod:`asit.kaldi.ark_codec`); the libraries
read whole matrices. kaldiio's licence is for evaluation, kaldi_native_io is Apache-2.0. Neither library ever opens a
file name from an scp file as kaldiio would (it runs ``cmd |`` in a shell and unpickles ``PKL`` entries): names and
heads are checked first.
"""

from __future__ import annotations

import importlib
import io
import os
import struct
from types import ModuleType
from typing import IO, Protocol

import numpy as np

from asit.errors import AsitError, nearest
from asit.kaldi import ark_codec, ark_spec

BACKENDS = {
    "asit": "",
    "kaldiio": "pip install kaldiio",
    "kaldi_native_io": "pip install 'asit[native-io]'",
}
# What the libraries raise on bytes that are not what they expect.
_READ_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    struct.error,
    OSError,
    MemoryError,
)


class Sink(Protocol):
    """An archive being written."""

    def write(self, utt: str, array: np.ndarray, compression: int) -> int:
        """Append; the offset of the matrix (behind its key)."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


def load_backend(backend: str | None = None) -> ModuleType | None:
    """The library to use: `backend`, else ``ASIT_ARK_BACKEND``, else asit, which needs none (None).

    Raises:
        AsitError: unknown name, or not installed (the message says how to install it).
    """
    name = (backend or os.environ.get("ASIT_ARK_BACKEND") or "asit").replace("-", "_")
    if name not in BACKENDS:
        raise AsitError(f"unknown ark backend '{name}': {nearest(name, BACKENDS)}")
    if name == "asit":
        return None
    try:
        return importlib.import_module("kaldiio.matio" if name == "kaldiio" else name)
    except ImportError as error:
        raise AsitError(
            f"ark backend '{name}' cannot be loaded ({error}): install it with {BACKENDS[name]}, "
            "or use the default one, ASIT_ARK_BACKEND=asit"
        ) from None


def read_array(stream: IO[bytes], spec: ark_spec.Spec, path: str, library: ModuleType) -> np.ndarray:
    """The whole matrix or vector at the spec's offset, without its range, as the library gives it.

    Raises:
        AsitError: naming the spec: the library cannot make sense of it.
    """
    head = ark_spec.check(stream, spec)
    try:
        if head.kind == "TEXT":  # kaldiio takes "0 0.5" for whole numbers, by its first value
            return ark_spec.read_text(stream, spec)
        if library.__name__ == "kaldiio.matio":
            return library.read_kaldi(stream)
        reader = library.FloatVector if head.kind in ("FV", "DV") else library.FloatMatrix
        return reader.read(f"{path}:{spec.offset or 0}").numpy()
    except _READ_ERRORS as error:
        reason = " ".join(str(error).split())[-200:]
        raise AsitError(f"'{spec.text}': corrupt archive ({type(error).__name__}: {reason}); make it anew") from None


def open_sink(library: ModuleType | None, path: str) -> Sink:
    """Start an archive, over a file of that name."""
    if library is None:
        return _OwnSink(path)
    return (_KaldiioSink if library.__name__ == "kaldiio.matio" else _NativeSink)(library, path)


# --- internals -------------------------------------------------------------------------------------


class _OwnSink:
    """An archive written by :mod:`asit.kaldi.ark_codec`."""

    def __init__(self, path: str) -> None:
        self.stream: io.BufferedWriter = open(path, "wb")  # noqa: SIM115 - lives until close()

    def write(self, utt: str, array: np.ndarray, compression: int) -> int:
        head, values = ark_codec.encode(array, compression)
        self.stream.write(f"{utt} ".encode())
        offset = self.stream.tell()
        self.stream.write(head)
        self.stream.write(values.data)
        return offset

    def close(self) -> None:
        self.stream.close()


class _KaldiioSink:
    """An archive written by kaldiio."""

    def __init__(self, library: ModuleType, path: str) -> None:
        self.library = library
        self.stream: io.BufferedWriter = open(path, "wb")  # noqa: SIM115 - lives until close()

    def write(self, utt: str, array: np.ndarray, compression: int) -> int:
        self.stream.write(f"{utt} ".encode())
        offset = self.stream.tell()
        self.library.write_array(self.stream, array, compression_method=compression or None)
        return offset

    def close(self) -> None:
        self.stream.close()


class _NativeSink:
    """An archive written by kaldi_native_io: the C++ stream is flushed to learn the offsets."""

    def __init__(self, library: ModuleType, path: str) -> None:
        self.library, self.path = library, path
        with open(path, "wb"):  # the same errors as the other back end: no permission, no folder
            pass
        self.writer = None
        self.vectors = False

    def write(self, utt: str, array: np.ndarray, compression: int) -> int:
        if self.writer is None:
            self.vectors = array.ndim == 1
            matrices = self.library.CompressedMatrixWriter if compression else self.library.FloatMatrixWriter
            self.writer = (self.library.FloatVectorWriter if self.vectors else matrices)(f"ark:{self.path}")
        if self.vectors != (array.ndim == 1):
            raise AsitError(f"utterance '{utt}': kaldi_native_io cannot mix matrices and vectors in one archive")
        offset = os.path.getsize(self.path) + len(utt.encode()) + 1
        try:
            if compression:
                self.writer.write(utt, array, self.library.CompressionMethod(compression))
            else:
                self.writer.write(utt, array)
            self.writer.flush()
        except RuntimeError as error:
            raise OSError(0, " ".join(str(error).split())[-200:]) from None
        return offset

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
