"""Pretrain a backbone without labels: data directory -> ``<out-dir>/backbone.safetensors``.

    asit-pretrain --data-dir data/pool --out-dir exp/pretrain_small --config conf/pretrain.yaml [--ngpu 4]

The same command continues an interrupted run, and does nothing when it is finished. Exit codes: 0 finished, 85
stopped by SIGTERM, SIGUSR1 or SIGUSR2 after saving (run it again to continue), 1 an error with one line of
explanation, 2 wrong usage. On the CPU ``--ngpu 0 2`` trains with two processes. For several machines run it under
torchrun on each: ``torchrun --nnodes 2 --nproc-per-node 4 ... -m asit.bin.pretrain ...``.
"""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.pretrain import PretrainSettings, pretrain
from asit.train import processes


@command
def main() -> None:
    """Entry point of ``asit-pretrain``."""
    settings = parse(PretrainSettings)
    ranks = processes.wanted(settings.train.processes)
    if ranks > 1:
        processes.launch(ranks, "asit.bin.pretrain", sys.argv[1:])
    pretrain(settings)


if __name__ == "__main__":
    sys.exit(main())
