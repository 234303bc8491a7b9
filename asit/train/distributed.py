"""One process or many: the same calls, which do nothing when there is no process group.

A rank learns its place from the environment that torchrun sets (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR,
MASTER_PORT) and from nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

from asit.errors import AsitError

_left: list[object] = []


@dataclass(frozen=True)
class Place:
    """Where this process stands in a run."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this is the one process that writes."""
        return self.rank == 0


def pick_device(ngpu: int | None, local_rank: int = 0) -> torch.device:
    """The device of this process. On a GPU float32 is float32: torch would round convolutions to TF32.

    Raises:
        AsitError: more GPUs are asked for than there are.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = min(there, 1) if ngpu is None else ngpu
    if wanted > there:
        raise AsitError(f"--ngpu {wanted}: this machine has {there} usable GPU(s); use --ngpu {there}")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", local_rank) if wanted else torch.device("cpu")


def join(ngpu: int | None = None) -> Place:
    """Join the process group that the environment describes, if any, and pick this process's device."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Place(0, 1, pick_device(ngpu))
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = pick_device(ngpu, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size > 1 and not dist.is_initialized():
        # Both back ends on a GPU: NCCL moves gradients, gloo carries the few host-side decisions.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return Place(rank, size, device)


def leave() -> None:
    """Leave the process group, if any.

    The object stays: its destructor waits for gloo's threads while it keeps Python from running, and one of those may
    wait for Python, to let go of the last tensor (seen with torch 2.13: a rank that never ended).
    """
    if dist.is_initialized():
        _left.append(dist.group.WORLD)
        dist.destroy_process_group()


def world_size() -> int:
    """Number of processes in the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait for all ranks."""
    if world_size() > 1:
        dist.all_reduce(torch.zeros(1))


def any_rank(*flags: bool) -> tuple[bool, ...]:
    """Each flag, true everywhere when it is true on some rank. A few bytes over gloo."""
    if world_size() == 1:
        return flags
    votes = torch.tensor([int(f) for f in flags])
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return tuple(bool(v) for v in votes.tolist())


def average_(tensor: torch.Tensor) -> torch.Tensor:
    """Mean over ranks, in place."""
    if world_size() > 1:
        dist.all_reduce(tensor)
        tensor /= world_size()
    return tensor


def largest_(tensor: torch.Tensor) -> torch.Tensor:
    """Maximum over ranks, in place."""
    if world_size() > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


def from_main(value: str) -> str:
    """The main rank's string, on all ranks."""
    values: list[str] = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def same_everywhere(value: str, what: str) -> None:
    """Check that all ranks hold the same string.

    Raises:
        AsitError: they do not.
    """
    if world_size() == 1:
        return
    values: list[str | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    if len(set(values)) > 1:
        raise AsitError(f"{what} differs between the processes of this run: {values}; give all of them the same")
