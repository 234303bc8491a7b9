"""Part resume of benchmarks/gpu.sh: a killed run ends bit-equal, and two processes on one GPU learn what one learns.

The runs are those of asit-pretrain in processes of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import tempfile
from pathlib import Path

import torch
import yaml
from part import Part, exact_float32

# isort: split
from killing import CONTEXT, Kill
from same_run import logged, same
from small_pool import make_pool

from asit.bin import pretrain
from asit.errors import AsitError, excerpt
from asit.train.checkpoint import CheckpointDir

STEPS, KILLS = 24, (8, 7)  # updates of a run; at which update of each process it is killed
LOSSES = ("loss", "global", "local", "reconstruction")
CONFIG = {
    "embed_dim": 32, "depth": 2, "heads": 2, "patch": [4, 0], "head_hidden": 16,
    "head_bottleneck": 8, "prototypes": [12, 10], "freeze_last_layer": 0, "global_frames": 32,
    "local_frames": 16, "local_crops": 1, "short_clips": "skip", "steps": STEPS, "lr": 1e-3,
    "warmup": 1, "threads": 1, "num_workers": 1, "log_every": 1, "save": [0, 5], "tensorboard": False,
}  # fmt: skip
# Nothing that would be drawn for each process apart.
SAME = {"drop_path": 0.0, "drop_ratio": 0, "replace": [0, 0], "reconstruct_all": True, "precision": "fp32"}
LIMIT = 100  # seconds of one process


def run_here(words: list[str], errors: Path, kill: Kill | None, rank: dict[str, str], backend: str) -> None:
    """One process of a run."""
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1), os.dup2(stream, 2)
    os.environ.update(rank)
    exact_float32()
    if backend:
        join = torch.distributed.init_process_group
        torch.distributed.init_process_group = lambda _: join(f"cpu:gloo,cuda:{backend}")
    sys.argv = ["asit-pretrain", *words]
    if kill:
        kill.install()
    sys.exit(pretrain.main())


class Runs:
    """Runs in a folder that holds data and configurations."""

    def __init__(self, home: Path, part: Part) -> None:
        self.home, self.ngpu = home, int(part.on_gpu)
        # A server from which processes are forked may have touched the GPU, which a fork does not survive.
        self.context = multiprocessing.get_context("spawn") if part.on_gpu else CONTEXT
        make_pool(home / "pool")
        (home / "drawn.yaml").write_text(yaml.safe_dump(CONFIG))
        (home / "same.yaml").write_text(yaml.safe_dump(CONFIG | SAME))

    def start(self, out: str, config: str, *more: str, kill: Kill | None = None, **group: dict | str) -> object:
        """A process of the run ``out``."""
        words = ["--config", f"{self.home}/{config}.yaml", "--data-dir", f"{self.home}/pool"]
        words += ["--out-dir", f"{self.home}/{out}", "--ngpu", str(self.ngpu), *more]
        rank, backend = group.get("rank", {}), group.get("backend", "")
        process = self.context.Process(
            target=run_here, args=(words, self.errors(out), kill, rank, backend), daemon=False
        )
        process.start()
        return process

    def end(self, process: object, out: str, code: int = 0) -> None:
        """Wait for a process; AsitError when it does not end with ``code``."""
        process.join(LIMIT)
        if process.is_alive():
            process.kill()
        process.join()
        if process.exitcode != code:
            said = self.errors(out).read_text(errors="replace")
            print(said)
            raise AsitError(f"run {out}: exit code {process.exitcode}, expected {code}: {excerpt(said[-200:], 200)}")

    def errors(self, out: str) -> Path:
        """What the run says."""
        return self.home / f"{out}.stderr"

    def state(self, out: str) -> dict:
        """Its last checkpoint, without the settings."""
        state = CheckpointDir(self.home / out / "checkpoints").load(STEPS)
        return {name: state[name] for name in ("learner", "optimizer")}


def killed(part: Part, runs: Runs) -> None:
    """A run that is killed twice between gradients and update, and one that is not."""
    whole = runs.start("whole", "drawn")
    for count in KILLS:
        kill = Kill("asit.train.optimizer:Optimizer.update", count=count)
        runs.end(runs.start("killed", "drawn", kill=kill), "killed", code=-9)
    runs.end(runs.start("killed", "drawn"), "killed")
    runs.end(whole, "whole")
    if "resuming after step 10/" not in (said := runs.errors("killed").read_text()):
        raise AsitError(f"the run did not resume after step 10: {excerpt(said[-200:], 200)}")
    part.record("killed twice: the same log lines", logged(runs.home / "killed") == logged(runs.home / "whole"))
    part.record(
        "killed twice: the same weights and moments, bit by bit", same(runs.state("killed"), runs.state("whole"))
    )


def two(part: Part, runs: Runs, backend: str) -> None:
    """Two processes with half of the batch each, on one device."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    place = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    out = f"two_{backend}"
    ranks = [
        runs.start(out, "same", "--batch-size", "4", rank={**place, "RANK": str(rank)}, backend=backend)
        for rank in range(2)
    ]
    try:
        for process in ranks:
            runs.end(process, out)
    finally:
        for process in ranks:
            process.kill()
    logs = (logged(runs.home / name) for name in (out, "one"))
    found, expected = (torch.tensor([[row[name] for name in LOSSES] for row in log]) for log in logs)
    part.at_most(f"two processes, {backend}: largest difference of a loss", float((found - expected).abs().max()), 1e-4)


def main() -> None:
    """All runs; a failure does not end the part."""
    with Part("resume", "Kill, resume and two processes") as part, tempfile.TemporaryDirectory() as home:
        runs = Runs(Path(home), part)
        one = runs.start("one", "same", "--batch-size", "8")
        with part.going_on("killed twice"):
            killed(part, runs)
        with part.going_on("one process"):
            runs.end(one, "one")
        with part.going_on("two processes, gloo"):
            two(part, runs, "gloo")
        if part.on_gpu:
            try:  # NCCL may refuse two processes on one GPU, which is no fault
                two(part, runs, "nccl")
            except AsitError as error:
                part.fact("two processes, nccl: not on one GPU", excerpt(error, 200))


if __name__ == "__main__":
    main()
