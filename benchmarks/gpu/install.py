"""Unpack the wheels of packages that this Python lacks into a folder: python benchmarks/gpu/install.py FOLDER

gpu.sh puts the folder on the path. It is no virtual environment: one that is made from a virtual environment does not
see that one's packages, torch among them.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Package -> what is imported of it. gpu_prepare.sh downloads the large ones for some versions of Python only.
PACKAGES = {
    "soundfile": "soundfile", "cffi": "cffi", "pycparser": "pycparser", "soxr": "soxr", "pyyaml": "yaml",
    "safetensors": "safetensors", "configargparse": "configargparse", "tqdm": "tqdm", "pytest": "pytest",
    "pluggy": "pluggy", "iniconfig": "iniconfig", "packaging": "packaging", "pygments": "pygments",
    "joblib": "joblib", "cloudpickle": "cloudpickle", "threadpoolctl": "threadpoolctl", "narwhals": "narwhals",
}  # fmt: skip
LARGE = {"scipy": "scipy", "scikit-learn": "sklearn"}


def main() -> int:
    """Install what is missing; 1 with one line when that cannot be done."""
    for name in ("torch", "numpy"):
        if importlib.util.find_spec(name) is None:
            print(f"gpu.sh: error: {sys.executable} has no {name}; give one that has as --python", file=sys.stderr)
            return 1
    wanted = {**PACKAGES, **LARGE}
    missing = [package for package, module in wanted.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return 0
    print("missing:", *missing)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    done = subprocess.run([*pip, "--find-links", HERE / "wheels", "--target", sys.argv[1], *missing], check=False)
    if done.returncode:
        print(
            f"gpu.sh: error: Python {sys.version.split()[0]} lacks {', '.join(missing)}, and benchmarks/gpu/wheels "
            "does not have all of them for it; run benchmarks/gpu_prepare.sh where there is a network",
            file=sys.stderr,
        )
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
