"""Importers and exporters of checkpoints."""
