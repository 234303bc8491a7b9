"""A released ASiT checkpoint becomes a backbone.safetensors.

asit-import-model --checkpoint asit_teacher.pth --out exp/official/backbone.safetensors
"""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.models.official import ImportSettings, import_model


@command
def main() -> None:
    """Entry point of ``asit-import-model``."""
    settings = parse(ImportSettings)
    facts = import_model(settings)
    rate, variant = facts["front_end"]["sample_rate"], facts["provenance"]["released variant"]
    print(f"{settings.out}: {settings.network} of variant {variant}, {facts['frames']} frames at {rate} Hz")


if __name__ == "__main__":
    sys.exit(main())
