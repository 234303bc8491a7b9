"""asit-import-events: labels of a table or of Audacity to events of a data directory."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.recipes.event_labels import Settings, import_events


@command
def main() -> None:
    """Says how many events there are."""
    settings = parse(Settings)
    found = import_events(settings)
    count, silent = sum(map(len, found.values())), sum(not events for events in found.values())
    print(f"{settings.data_dir}/events: {count} events in {len(found)} utterances; nothing happens in {silent} of them")


if __name__ == "__main__":
    sys.exit(main())
