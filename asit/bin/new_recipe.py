"""asit-new-recipe: a recipe for a corpus in folders of classes or in a CSV file."""

from __future__ import annotations

import sys
from pathlib import Path

from asit.config import load, parse
from asit.errors import command
from asit.features.fbank import FbankSettings
from asit.recipes.new import NewRecipeSettings, new_recipe


@command
def main() -> None:
    """Entry point."""
    settings = parse(NewRecipeSettings)
    print(new_recipe(settings))
    from asit.runs.cost import seconds_per_update  # torch is slow to import
    from asit.runs.pretrain import PretrainSettings
    from asit.train.run_log import cost

    conf = Path(settings.egs_dir, settings.name, "conf")
    pretraining = load(PretrainSettings, conf / "pretrain.yaml")
    seconds = seconds_per_update(pretraining, load(FbankSettings, conf / "fbank.yaml").num_mel_bins)
    updates = pretraining.train.steps
    print(f"pretraining here: {cost(seconds, updates)}" if updates else f"pretraining here: {seconds:.2g} s an update")


if __name__ == "__main__":
    sys.exit(main())
