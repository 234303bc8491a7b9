"""Archives written and read by Kaldi's own code, for comparison."""

from __future__ import annotations

import kaldi_native_io


def write(path, arrays, method):
    """An archive of matrices and its scp file, as Kaldi's programs write them."""
    plain, small = kaldi_native_io.FloatMatrixWriter, kaldi_native_io.CompressedMatrixWriter
    with (small if method else plain)(f"ark,scp:{path}.ark,{path}.scp") as writer:
        for utt, array in arrays.items():
            writer.write(utt, array, *([kaldi_native_io.CompressionMethod(method)] if method else []))


def read(spec):
    """The matrix of a spec without a range."""
    return kaldi_native_io.FloatMatrix.read(spec).numpy()
