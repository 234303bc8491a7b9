"""asit: recipe-based pretraining and fine-tuning of audio spectrogram transformers.

Implements ASiT (arXiv 2211.13189). The packages, from the bottom up: ``metrics``, ``masking``,
``losses`` and ``layers`` know only numpy and torch; ``models`` and ``methods`` put them together;
``io``, ``features`` and ``data`` bring Kaldi data directories to batches; ``train`` and ``tasks`` run
the work; ``bin`` holds the commands that recipes call.
"""

__version__ = "0.2.0"
