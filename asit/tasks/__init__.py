"""Downstream tasks: head, targets, loss and metrics; selectable by name."""
