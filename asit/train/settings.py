"""Options of the training loop, and the schedules that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from asit.config import Options, option
from asit.errors import AsitError
from asit.schedules import Constant, Cosine, Schedule, StepDecay
from asit.train.precision import CHOICES


@dataclass(frozen=True)
class TrainSettings(Options):
    """Optimisation, schedules, logging and checkpoints of one run. Defaults are ASiT's published ones."""

    epochs: int = option(100, "passes over the training set (used when steps is none)", least=1)
    steps: int | None = option(None, "optimiser updates; none: given by epochs", least=1)
    batch_size: int = option(32, "clips per process and micro-batch", least=1, free=True)
    accum: int = option(
        1, "micro-batches per update; the global batch is batch_size x processes x accum", least=1, free=True
    )
    last_batch: str = option(
        "drop", "an epoch's incomplete last batch: leave it out, or train on it", choices=("drop", "keep")
    )
    epoch_samples: int = option(0, "clips per epoch when drawing with replacement; 0: as many as there are", least=0)

    optimizer: str = option("adamw", "adamw, or adam with L2 penalty (AST)", choices=("adamw", "adam"))
    lr: tuple[float, ...] = option(
        (5e-4, 256),
        "peak learning rate; of two values for a global batch of the second, else as given",
        counts=(1, 2),
        least=0,
    )
    min_lr: float = option(1e-6, "where the cosine ends (not scaled with the batch)", least=0)
    lr_factor: tuple[float, ...] | None = option(
        None,
        "instead of the cosine: factor, first epoch (from 0) with a lowered rate, epochs between two cuts; without the "
        "last two: 1 1; 1 alone is a constant rate",
        least=0,
        counts=(1, 3),
    )
    warmup: float = option(0.1, "linear warm-up from 0: a share of the run if below 1, else updates", least=0)
    weight_decay: tuple[float, ...] = option(
        (0.04, 0.4), "weight decay; of two values a cosine goes from one to the other", least=0, counts=(1, 2)
    )
    betas: tuple[float, ...] = option((0.9, 0.999), "Adam's two decay rates", least=0, below=1, counts=(2,))
    clip_grad: tuple[float, ...] = option(
        (3.0,),
        "largest norm of each tensor's gradient and, of two values, of all together; 0: no clipping",
        least=0,
        counts=(1, 2),
    )

    precision: str = option(
        "auto", "arithmetic of the forward pass; auto: bf16 (autocast) where the hardware has it", choices=CHOICES
    )
    compile: bool = option(
        False,
        "torch.compile the transformer's blocks: 1.1 to 1.3 times as fast on a GPU at a large batch, after minutes of "
        "compiling; no gain on a CPU",
        free=True,
    )
    checkpoint_blocks: bool = option(
        False,
        "recompute each transformer block in the backward pass instead of keeping its activations: much less "
        "memory, one more forward pass",
        free=True,
    )
    ngpu: tuple[int, ...] | None = option(
        None,
        "GPUs on this machine; none: one if there is one, else CPU; 0: CPU, with a second number that many processes",
        least=0,
        counts=(1, 2),
        free=True,
    )
    threads: int = option(0, "CPU threads per process; 0: all cores shared among the processes", least=0, free=True)
    num_workers: int = option(
        1, "data-loading processes per training process; 0: load in the training process", least=0, free=True
    )
    restart_changed: bool = option(
        False,
        "when the run in the output folder has other options or data: rename it to <folder>.old-<n> and start "
        "over, instead of refusing",
        free=True,
    )
    seed: int = option(0, "everything random in the run derives from this number")

    log_every: int = option(50, "updates between two log lines", least=1, free=True)
    save: tuple[float, ...] = option(
        (10.0,),
        "minutes between two checkpoints and, of two values, updates between them; 0: not by this one",
        least=0,
        counts=(1, 2),
        free=True,
    )
    tensorboard: bool = option(True, "write TensorBoard event files", free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, wrong in (("lr", self.lr[1:]), ("lr_factor", (self.lr_factor or ())[2:])):
            if wrong and wrong[0] < 1:
                raise AsitError(f"option '{name}': expected at least 1 as the last number, found {wrong[0]:g}")
        for name, counted in (("lr_factor", (self.lr_factor or ())[1:]), ("save", self.save[1:])):
            for number in counted:
                if not number.is_integer():
                    raise AsitError(f"option '{name}': expected whole numbers after the first, found {number:g}")

    @property
    def gpus(self) -> int | None:
        """GPUs on this machine; None: one if there is one."""
        return None if self.ngpu is None else self.ngpu[0]

    @property
    def processes(self) -> int:
        """Training processes on this machine: one for each GPU, or as many as were asked for on the CPU."""
        return self.gpus or (max(1, self.ngpu[1]) if self.ngpu is not None and len(self.ngpu) == 2 else 1)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimiser updates of the whole run."""
        return self.steps if self.steps is not None else self.epochs * steps_per_epoch

    def peak_lr(self, global_batch: int) -> float:
        """The learning rate after warm-up: linear in the global batch where ``lr`` names the batch that it is for."""
        return self.lr[0] * global_batch / self.lr[1] if len(self.lr) == 2 else self.lr[0]

    def lr_of_step(self, steps_per_epoch: int, global_batch: int) -> Schedule:
        """The learning rate by step."""
        total = self.total_steps(steps_per_epoch)
        warmup = round(self.warmup * total if self.warmup < 1 else self.warmup)
        if warmup >= total > 1:
            raise AsitError(f"warm-up of {warmup} updates in a run of {total}: lower --warmup")
        peak = self.peak_lr(global_batch)
        if self.lr_factor is None:
            return Cosine(peak, self.min_lr, total, warmup)
        factor, first, every = self.lr_factor if len(self.lr_factor) == 3 else (self.lr_factor[0], 1, 1)
        return StepDecay(peak, factor, int(first), int(every), steps_per_epoch, warmup)

    def weight_decay_of_step(self, steps_per_epoch: int) -> Schedule:
        """The weight decay by step."""
        if len(self.weight_decay) == 1:
            return Constant(self.weight_decay[0])
        return Cosine(*self.weight_decay, self.total_steps(steps_per_epoch))
