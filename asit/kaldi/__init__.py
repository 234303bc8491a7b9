"""Kaldi's formats: data directories, their tables, ark/scp archives."""
