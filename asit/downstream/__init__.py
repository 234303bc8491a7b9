"""Fine-tuned models: training them, scoring data directories, single recordings, the trivial baseline."""
