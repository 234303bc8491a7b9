"""Corruption of clips; every module here is selectable by its name."""
