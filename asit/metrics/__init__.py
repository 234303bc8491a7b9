"""Evaluation metrics on numpy arrays."""
