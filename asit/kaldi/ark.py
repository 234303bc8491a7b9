"""Kaldi archives of float matrices.

Only the rows that are asked for are read (:mod:`asit.kaldi.ark_codec`), with the arithmetic of Kaldi.
``ASIT_ARK_BACKEND=kaldiio`` or the argument `backend` has kaldiio read and write (:mod:`asit.kaldi.ark_kaldiio`).

Compression methods (Kaldi ``CompressionMethod``): 0 none; 1 automatic (2, or 3 below nine rows); 2 one byte with
percentiles per column, for speech features; 3 two bytes, range of the matrix; 4 two bytes, whole numbers
-32768…32767; 5 one byte, range of the matrix; 6 one byte, whole numbers 0…255; 7 one byte, 0…1.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from types import ModuleType, TracebackType
from typing import IO

import numpy as np

from asit.errors import AsitError
from asit.io import atomic, pipes
from asit.kaldi import ark_codec, ark_spec
from asit.kaldi.ark_files import OpenFiles
from asit.kaldi.ark_kaldiio import load_backend, read_array
from asit.kaldi.table import key_problem

_open_files = OpenFiles()


def read_matrix(spec: str, allow_pipes: bool = False, backend: str | None = None) -> np.ndarray:
    """The matrix at ``file.ark:offset[r0:r1,c0:c1]`` (inclusive ends), float32 (T, F), contiguous, writable.

    Args:
        allow_pipes: run ``cmd |`` specs instead of refusing them. Only for lists that you wrote yourself.

    Raises:
        AsitError: naming the spec: a command, missing file, truncated or corrupt archive, a range outside the
            matrix, other content than a matrix.
    """
    return _as_matrix(_read(spec, allow_pipes, backend), spec)


def read_rows(spec: str, first: int, last: int, backend: str | None = None) -> np.ndarray:
    """Rows [first, last) of what ``file.ark:offset``, with a range or without, names: float32 (last - first, F).

    The cost is that of these rows however long the matrix is, but for a constant of CM (compression 2), which is stored
    column by column. Errors as :func:`read_matrix`.
    """
    if not 0 <= first < last:
        raise AsitError(f"'{spec}': expected rows first < last from 0 on, found {first} to {last}")
    pipes.refuse(spec)
    return _as_matrix(_read_file(ark_spec.narrow(ark_spec.parse(spec), first, last), load_backend(backend)), spec)


def read_vector(spec: str, allow_pipes: bool = False, backend: str | None = None) -> np.ndarray:
    """The vector at ``file.ark:offset`` (an embedding), float32 (D,). Errors as :func:`read_matrix`."""
    array = _read(spec, allow_pipes, backend)
    if array.ndim != 1:
        raise AsitError(f"'{spec}': expected a vector, found a matrix of {array.shape[0]} x {array.shape[1]} values")
    return array


class ArkWriter:
    """Writes matrices (or vectors) to an archive and its scp; both names appear only on a clean end.

    >>> with ArkWriter("/tmp/asit doctest.ark", "/tmp/asit doctest.scp") as writer:
    ...     writer.write("utt1", np.zeros((3, 2), dtype=np.float32))
    >>> open("/tmp/asit doctest.scp").read()
    'utt1 /tmp/asit doctest.ark:5\\n'

    Args:
        ark_path: listed in the scp as given; relative paths are relative to the working directory, as in Kaldi.
        scp_path: None writes no scp.
        compression: 0…7, see the module.

    Raises:
        AsitError: see :meth:`write`; a folder that cannot be written; a full disk.
    """

    def __init__(
        self,
        ark_path: str | os.PathLike[str],
        scp_path: str | os.PathLike[str] | None,
        compression: int = 0,
        backend: str | None = None,
    ) -> None:
        self.ark_path = os.fspath(ark_path)
        self.scp_path = None if scp_path is None else os.fspath(scp_path)
        if compression not in range(8):
            raise AsitError(f"compression {compression}: expected 0 (none) to 7")
        if "\n" in self.ark_path or self.ark_path != self.ark_path.strip() or pipes.is_pipe(self.ark_path):
            raise AsitError(
                f"'{self.ark_path}': an archive's name cannot hold line breaks or outer spaces, or be a pipe"
            )
        self.compression = compression
        self._library = load_backend(backend)
        self._temporary = atomic.temporary_name(self.ark_path)
        self._stream: IO[bytes] | None = None
        self._lines: dict[str, str] = {}

    def __enter__(self) -> ArkWriter:
        try:
            os.makedirs(os.path.dirname(self.ark_path) or ".", exist_ok=True)
            self._stream = open(self._temporary, "wb")
        except OSError as error:
            raise atomic.cannot_write(self.ark_path, error) from error
        return self

    def write(self, utt: str, array: np.ndarray) -> None:
        """Append one matrix (T, F), or one vector (D,) when not compressing. float64 is stored as float32.

        Raises:
            AsitError: a bad or repeated id, an empty array, other than one or two dimensions, a value that is
                NaN or infinite.
        """
        stream = self._stream
        assert stream is not None, "ArkWriter is used in a with block"
        array = np.ascontiguousarray(array, dtype=np.float32)
        where = f"{self.ark_path}: utterance '{utt}'"
        problem = key_problem(utt) or ("it is there already" if utt in self._lines else None)
        if problem:
            raise AsitError(f"{where}: {problem}")
        if array.ndim not in (1, 2) or array.size == 0 or (array.ndim == 1 and self.compression):
            raise AsitError(f"{where}: expected a matrix with at least one row and column, found shape {array.shape}")
        finite = np.isfinite(array)
        if not finite.all():
            raise AsitError(f"{where}: {array.size - finite.sum()} of {array.size} values are NaN or infinite")
        try:
            offset = stream.tell() + len(utt.encode()) + 1
            if self._library is not None:
                stream.write(f"{utt} ".encode())
                self._library.write_array(stream, array, compression_method=self.compression or None)
            else:
                head, values = ark_codec.encode(array, self.compression)
                stream.write(f"{utt} ".encode() + head)
                stream.write(values.data)
        except OSError as error:
            raise atomic.cannot_write(self.ark_path, error) from error
        except AsitError as error:
            raise AsitError(f"{where}: {error}") from None
        self._lines[utt] = f"{utt} {self.ark_path}:{offset}\n"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close(keep=kind is None)
        finally:
            atomic.remove(self._temporary)

    def _close(self, keep: bool) -> None:
        assert self._stream is not None
        if not keep:
            with contextlib.suppress(OSError):  # the error that ended the block is the one to show
                self._stream.close()
            return
        try:
            with self._stream:
                self._stream.flush()
                os.fsync(self._stream.fileno())
            if self.scp_path is not None:  # an old scp must never point into the new archive
                atomic.remove(self.scp_path)
            os.replace(self._temporary, self.ark_path)
            atomic.sync_folder(os.path.dirname(self.ark_path) or ".")
        except OSError as error:
            raise atomic.cannot_write(self.ark_path, error) from error
        if self.scp_path is not None:
            atomic.write_text(self.scp_path, "".join(self._lines.values()))


# --- internals -------------------------------------------------------------------------------------


def _read(text: str, allow_pipes: bool, backend: str | None) -> np.ndarray:
    library = load_backend(backend)
    if pipes.is_pipe(text):
        if not allow_pipes:
            pipes.refuse(text)
        return _read_pipe(text, library)
    return _read_file(ark_spec.parse(text), library)


def _as_matrix(array: np.ndarray, spec: str) -> np.ndarray:
    if array.ndim != 2:
        raise AsitError(f"'{spec}': expected a matrix, found a vector of {array.size} values")
    return array


def _read_file(spec: ark_spec.Spec, library: ModuleType | None) -> np.ndarray:
    try:
        if library is not None:
            _open_files.get(spec.path)  # refuses what must not be opened
            with open(spec.path, "rb") as stream:
                return _cut(read_array(stream, spec, library), spec)
        try:
            return _read_range(spec)
        except OSError:
            if not _open_files.forget(spec.path):
                raise
            return _read_range(spec)  # the kept descriptor may be stale: the file was replaced on its server
    except FileNotFoundError:
        raise AsitError(f"'{spec.text}': no such file (relative paths count from {os.getcwd()})") from None
    except OSError as error:
        raise AsitError(f"'{spec.text}': cannot read: {error.strerror or error}") from None


def _read_range(spec: ark_spec.Spec) -> np.ndarray:
    """The rows and columns of the spec, and no others."""
    file, size = _open_files.get(spec.path)
    start = spec.offset or 0
    head = ark_spec.check_head(file.read(ark_spec.HEAD_BYTES, start), size, spec)
    if head.kind == "TEXT":
        with open(spec.path, "rb") as stream:
            stream.seek(start)
            return _cut(ark_spec.read_text(stream, spec), spec)
    vector = head.kind in ("FV", "DV")
    if vector and (spec.rows or spec.columns):
        raise _no_range(spec)
    r0, r1, c0, c1 = ark_spec.bounds(spec, head.rows, head.columns)
    start += head.start

    def fill(array: np.ndarray, offset: int) -> None:
        if file.fill(array.data.cast("B"), start + offset) != array.nbytes:
            raise AsitError(f"'{spec.text}': truncated archive: it was cut short while it was read; create it again")

    values = ark_codec.decode(fill, head, slice(r0, r1), slice(c0, c1))
    return values[:, 0] if vector else values


def _cut(array: np.ndarray, spec: ark_spec.Spec) -> np.ndarray:
    """The spec's range of a matrix or vector, float32, contiguous, its own."""
    if array.ndim == 2:
        r0, r1, c0, c1 = ark_spec.bounds(spec, *array.shape)
        array = array[r0:r1, c0:c1]
    elif spec.rows or spec.columns:
        raise _no_range(spec)
    return np.array(array, dtype=np.float32, order="C")


def _no_range(spec: ark_spec.Spec) -> AsitError:
    return AsitError(f"'{spec.text}': a range needs a matrix, found a vector")


def _read_pipe(text: str, library: ModuleType | None) -> np.ndarray:
    """The single matrix that a command writes, by way of a temporary file."""
    command = text.strip()
    inside = ""
    if command.endswith("]"):
        cut = command.rfind("[")
        command, inside = command[:cut], command[cut:]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "output")
        with open(path, "wb") as stream:
            stream.write(pipes.output_of(command))
        parsed = ark_spec.parse(path + inside)
        try:
            return _read_file(ark_spec.Spec(text, path, None, parsed.rows, parsed.columns), library)
        finally:
            _open_files.forget(path)
