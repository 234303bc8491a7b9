"""asit-new-recipe: a recipe for a corpus in folders of classes or in a CSV file."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.recipes.new import NewRecipeSettings, new_recipe


@command
def main() -> None:
    """Entry point."""
    print(new_recipe(parse(NewRecipeSettings)))


if __name__ == "__main__":
    sys.exit(main())
