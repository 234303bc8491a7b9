"""Training loop, schedules, parameter groups, checkpoints, logging."""
