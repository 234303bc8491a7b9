"""Every command in asit/bin keeps the form of a command. New files are picked up by themselves."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import asit.bin
from asit import config, registry
from asit.config.fields import chosen_names, flatten, is_required, kind

COMMANDS = sorted(m.name for m in pkgutil.iter_modules(asit.bin.__path__))
NEED_TORCH = {
    "baseline",
    "demo",
    "detect",
    "embed",
    "evaluate",
    "export",
    "finetune",
    "import_model",
    "info",
    "knn",
    "pack",
    "plot",
    "predict",
    "pretrain",
    "transcribe",
    "verify",
}
TAKEN = {"root", "site", "extras", "tools", "ark_backend", "lifeline", "mini_packages"}  # ASIT_... with other meanings
SAMPLE = {int: 1, float: 1.0, str: "x", bool: True}  # of required options


class ParsedError(Exception):
    """Carries the settings class out of a command."""


def settings_of(name: str, monkeypatch) -> type | None:
    """The settings class that the command parses; None for job back ends, which take Kaldi's command line."""
    module = importlib.import_module(f"asit.bin.{name}")
    if not hasattr(module, "parse"):
        assert name.startswith("run_"), "only job back ends parse a command line of their own"
        return None

    def capture(settings: type) -> None:
        raise ParsedError(settings)

    monkeypatch.setattr(module, "parse", capture)
    with pytest.raises(ParsedError) as found:
        module.main()
    return found.value.args[0]


def combinations(settings: type) -> list[dict[str, str]]:
    """Every combination of components that the settings can choose."""
    names = chosen_names(settings, {})
    kinds = {name: flatten(settings, names)[name].metadata["kind"] for name in names}
    found = itertools.product(*(registry.names(k) for k in kinds.values()))
    return [dict(zip(kinds, components, strict=True)) for components in found]


def test_there_are_commands() -> None:
    assert {"pretrain", "finetune", "make_fbank", "run_local"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
class TestCommand:
    def test_is_thin_and_documented(self, name: str) -> None:
        module = importlib.import_module(f"asit.bin.{name}")
        assert module.__doc__
        assert module.main.__doc__
        assert len(Path(module.__file__).read_text(encoding="utf-8").splitlines()) <= 60
        assert '__name__ == "__main__"' in Path(module.__file__).read_text(), "python -m asit.bin.x runs it too"

    def test_help(self, name: str, capsys, monkeypatch) -> None:
        monkeypatch.setattr(sys, "argv", [f"asit-{name.replace('_', '-')}", "--help"])
        try:
            code = importlib.import_module(f"asit.bin.{name}").main()
        except SystemExit as leaving:
            code = leaving.code
        out, err = capsys.readouterr()
        assert code == 0
        assert err == ""
        assert out.startswith(f"usage: asit-{name.replace('_', '-')} ")

    def test_options_are_explained_once(self, name: str, monkeypatch) -> None:
        settings = settings_of(name, monkeypatch)
        if settings is None:
            return
        assert re.fullmatch(r"[A-Z][^\n]*\.", settings.__doc__.strip().split("\n\n")[0].replace("\n    ", " "))
        for names in combinations(settings):
            fields = flatten(settings, names)  # raises when an option is defined twice
            assert not TAKEN & fields.keys(), "ASIT_<NAME> in the environment has another meaning already"
            for option, f in fields.items():
                assert f.metadata["help"], option
                assert f.metadata["help"][0] != " ", option
                assert re.fullmatch("[a-z][a-z0-9_]*", option)

    def test_settings_survive_yaml(self, name: str, monkeypatch, tmp_path) -> None:
        settings = settings_of(name, monkeypatch)
        if settings is None:
            return
        for names in combinations(settings):
            fields = flatten(settings, names)
            needed = {n: [SAMPLE[k.element]] if k.many else SAMPLE[k.element] for n, k in required_kinds(fields)}
            made = config.from_dict(settings, {**names, **needed})
            path = tmp_path / "config.yaml"
            path.write_text(yaml.safe_dump(config.to_dict(made), sort_keys=False))
            assert config.load(settings, path) == made
            assert config.to_dict(made).keys() == fields.keys()


def required_kinds(fields):
    return [(name, kind(f)) for name, f in fields.items() if is_required(f)]


@pytest.mark.parametrize(
    ("names", "unwanted"),
    [
        ([n for n in COMMANDS if n not in NEED_TORCH], ["torch", "sklearn", "matplotlib", "tensorboard"]),
        (COMMANDS, ["sklearn", "matplotlib", "tensorboard", "torchaudio"]),
    ],
    ids=["light", "all"],
)
def test_commands_import_only_what_they_need(names: list[str], unwanted: list[str]) -> None:
    """``--help`` and mistakes are quick; what only some runs need is imported by those."""
    code = "import importlib, sys\nfor n in sys.argv[2:]: importlib.import_module('asit.bin.' + n)\n"
    code += "print([m for m in sys.argv[1].split() if m in sys.modules])"
    words = [sys.executable, "-c", code, " ".join(unwanted), *names]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "[]"
