"""Print what the parts of benchmarks/gpu.sh found: summary.py FOLDER PART...; exit code 1 when one failed."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: Path, names: list[str]) -> int:
    """Each part's failed checks and its tables, then a line for each part."""
    lines, failed = [], False
    for name in names:
        path = folder / f"{name}.json"
        if not path.is_file():  # it could not even be imported
            path.write_text(
                json.dumps({"part": name, "status": "not started", "seconds": 0, "checks": [], "tables": []})
            )
        facts = json.loads(path.read_text(encoding="utf-8"))
        held = sum(check["held"] for check in facts["checks"])
        status = "ended early" if facts["status"] == "running" else facts["status"]
        failed |= status != "held"
        lines.append(f"{name:10} {status:12} {held:3}/{len(facts['checks'])} checks  {facts['seconds']:6} s")
        print(f"\n{name}: {facts.get('title', '')}")
        for check in facts["checks"]:
            found = ", ".join(f"{key} {value}" for key, value in check.items() if key not in ("name", "held"))
            print(f"  {'' if check['held'] else 'FAILED: '}{check['name']}{': ' * bool(found)}{found}")
        for table in facts["tables"]:
            print(f"\n  {table['title']}\n")
            for row in [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]:
                print("  | " + " | ".join(row) + " |")
    print("\n" + "\n".join(lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
