"""Part kernels of benchmarks/gpu.sh: where the time of a training step of base v2 goes."""

from __future__ import annotations

import torch
from part import Part, Table
from torch.profiler import ProfilerActivity, profile

# isort: split
from training_step import ALL, TOY, Step

STEPS, SHOWN = 3, 20


def main() -> None:
    """Profile a few steps; the table of the 20 dearest kernels."""
    with Part("kernels", "Profile of a training step") as part:
        batch, more = (2, TOY) if part.tiny else (32, {})
        step = Step("base", "v2", ALL, batch, part.device, **more)
        for _ in range(3):
            step()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if part.on_gpu else [])]
        with profile(activities=kinds) as found:
            for _ in range(STEPS):
                step()
            if part.on_gpu:
                torch.cuda.synchronize()
        name = "self_device_time_total" if part.on_gpu else "self_cpu_time_total"
        events = list(found.key_averages())
        if part.on_gpu:  # without the spans that the optimiser notes, which hold kernels
            events = [e for e in events if e.device_type.name == "CUDA" and not getattr(e, "is_user_annotation", False)]
        events.sort(key=lambda event: -getattr(event, name))
        whole = sum(getattr(event, name) for event in events)
        table = Table(
            "kernels", f"Kernels of a step, base v2, {batch} clips", ["kernel", "calls", "ms a step", "share"]
        )
        for event in events[:SHOWN]:
            time = getattr(event, name)
            cells = [event.key[:80], str(event.count // STEPS), f"{time / 1000 / STEPS:.2f}", f"{time / whole:.1%}"]
            table.rows.append(cells)
        part.tables.append(table)
        part.record("kernels found", len(table.rows) > 5, found=len(events))


if __name__ == "__main__":
    main()
