"""Warnings from the teacher's entropies: collapse, and a teacher that teaches nothing."""

from __future__ import annotations

from collections.abc import Mapping

FIRST_STEPS = 100  # every run starts with a near-uniform teacher
UNIFORM_SHARE = 0.97  # of ln K: the targets carry next to no information
COLLAPSE_SHARE = 0.4  # of ln K: the whole batch shares a few prototypes


def entropy_warnings(logged: Mapping[str, float], ln_k: Mapping[str, float], step: int, steps: int) -> list[str]:
    """One line for each sign of trouble.

    Args:
        logged: means of ``entropy_<kind>`` and ``entropy_of_mean_<kind>`` in nats.
        ln_k: largest possible entropy by kind ("cls", "patch").
        step: optimiser updates done.
        steps: optimiser updates of the run; a short run is judged from its first quarter on.
    """
    if step < min(FIRST_STEPS, steps // 4):
        return []
    warnings = []
    for kind, most in ln_k.items():
        entropy, of_mean = logged[f"entropy_{kind}"], logged[f"entropy_of_mean_{kind}"]
        if entropy > UNIFORM_SHARE * most:
            warnings.append(
                f"{kind} teacher is almost uniform: entropy {entropy:.2f} of ln K = {most:.2f}; the distillation "
                "teaches nothing. Lower --teacher-temp or the number of prototypes"
            )
        if of_mean < COLLAPSE_SHARE * most:
            warnings.append(
                f"{kind} outputs collapse: the batch's mean has entropy {of_mean:.2f} of ln K = {most:.2f}, a few "
                "prototypes take all. Raise --teacher-temp or --teacher-momentum, lower --lr, or enlarge the batch"
            )
    return warnings
