"""Stand-ins for PBS's commands: they note what they are given and run the jobs, as ``qsub``, ``qstat`` and ``qdel``.

Installed under these names in a folder; state lies in the folder that PBS_STUB names. ``fate.json`` there says what
becomes of a task instead of running it: ``{"2": {"Exit_status": -29, "comment": "..."}}``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ.get("PBS_STUB", "."))


def qsub(words: list[str]) -> int:
    known = {"-S": 1, "-j": 1, "-o": 1, "-l": 1, "-q": 1, "-A": 1, "-J": 1, "-V": 0, "-N": 1}
    options, rest = [], list(words)
    while rest and rest[0].startswith("-"):
        count = known.get(rest[0])
        if count is None:
            print(f"qsub: invalid option -- '{rest[0]}'", file=sys.stderr)
            return 2
        options.append(rest[: count + 1])
        rest = rest[count + 1 :]
    if len(rest) != 1 or not Path(rest[0]).is_file():
        print("qsub: script file not found", file=sys.stderr)
        return 1
    for _, *value in options:
        if value and value[0].startswith("mem=") and not value[0].endswith("b"):
            print("qsub: Illegal attribute or resource value", file=sys.stderr)
            return 1
    number = len(list(HOME.glob("job.*"))) + 1
    array = next((o[1] for o in options if o[0] == "-J"), None)
    job_id = f"{number}[].stub" if array else f"{number}.stub"
    (HOME / f"job.{number}").write_text(json.dumps({"words": words, "id": job_id}))
    fate = json.loads((HOME / "fate.json").read_text()) if (HOME / "fate.json").exists() else {}
    if array:
        first, last = map(int, array.partition("%")[0].split("-"))
        assert first < last, "PBS refuses an array of one"
        tasks = [str(n) for n in range(first, last + 1)]
    else:
        tasks = [""]
    for task in tasks:
        end = fate.get(task or "0")
        if end is None:
            name = f"{number}[{task}].stub" if task else job_id
            variables = {**os.environ, "PBS_JOBID": name, **({"PBS_ARRAY_INDEX": task} if task else {})}
            code = subprocess.run(
                ["/bin/bash", os.path.abspath(rest[0])], env=variables, cwd="/", check=False
            ).returncode
            end = {"Exit_status": code}
        (HOME / f"task.{number}.{task or 0}").write_text(json.dumps(end))
    print(job_id)
    return 0


def qstat(words: list[str]) -> int:
    job_id = words[-1]
    number = job_id.partition("[")[0].partition(".")[0]
    if not (HOME / f"job.{number}").exists():
        print(f"qstat: Unknown Job Id {job_id}", file=sys.stderr)
        return 153
    assert "-x" in words
    assert "-f" in words
    assert ("-t" in words) == ("[]" in job_id)
    if "[]" in job_id:
        print(f"Job Id: {job_id}\n    job_state = B\n")
    for path in sorted(HOME.glob(f"task.{number}.*")):
        task = path.name.rpartition(".")[2]
        print(f"Job Id: {number}[{task}].stub" if "[]" in job_id else f"Job Id: {job_id}")
        print("    Job_Name = x.sh\n    job_state = " + ("X" if "[]" in job_id else "F"))
        for name, value in json.loads(path.read_text()).items():
            print(f"    {name} = {str(value)[:40]}" + (f"\n\t{str(value)[40:]}" if str(value)[40:] else ""))
        print()
    return 0


if __name__ == "__main__":
    sys.exit({"qsub": qsub, "qstat": qstat, "qdel": lambda words: 0}[sys.argv[1]](sys.argv[2:]))
