"""Training losses; usable without a process group."""
