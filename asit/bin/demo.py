"""asit-demo: a local page on which a model hears what is dropped there or recorded."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.demo import HOST, Settings, server


@command
def main() -> None:
    """Runs until Ctrl-C."""
    page = server(parse(Settings))
    print(f"open http://{HOST}:{page.effective_port}/ in a browser of this machine; Ctrl-C ends it", flush=True)
    page.run()


if __name__ == "__main__":
    sys.exit(main())
