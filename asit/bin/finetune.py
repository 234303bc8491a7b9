"""Fine-tune a backbone on labelled clips: data directories -> ``<out-dir>/model.safetensors``.

    asit-finetune --train-dir data/train --valid-dir data/valid --init exp/pretrain/backbone.safetensors \
        --out-dir exp/speakers_seed0 --config conf/finetune.yaml --seed 0 --tags task=speakers labels=all

``--from-scratch true`` starts from random weights and takes all else from the same file. The same command continues an
interrupted run, and does nothing when it is finished. Exit codes: 0 finished, 85 stopped by a signal after saving (run
it again to continue), 1 an error with one line of explanation, 2 wrong usage.
"""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.finetune import Settings, finetune
from asit.train import processes


@command
def main() -> None:
    """Entry point of ``asit-finetune``."""
    settings = parse(Settings)
    ranks = processes.wanted(settings.train.processes)
    if ranks > 1:
        processes.launch(ranks, "asit.bin.finetune", sys.argv[1:])
    finetune(settings)


if __name__ == "__main__":
    sys.exit(main())
