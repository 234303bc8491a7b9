"""Kaldi data directories, archives, audio files and downloads."""
