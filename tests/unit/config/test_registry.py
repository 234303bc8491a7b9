from __future__ import annotations

import sys

import pytest

import asit.masking
from asit import registry
from asit.errors import AsitError


def test_a_file_dropped_in_is_a_component(tmp_path, monkeypatch) -> None:
    (tmp_path / "stripes.py").write_text('"""Corrupt stripes."""\nANSWER = 42\n\n\nclass Settings:\n    pass\n')
    (tmp_path / "_private.py").write_text("")
    monkeypatch.setattr(asit.masking, "__path__", [*asit.masking.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "asit.masking.stripes", raising=False)
    assert "stripes" in registry.names("masking")
    assert registry.load("masking", "stripes").ANSWER == 42
    sys.modules.pop("asit.masking.stripes")


def test_private_files_are_not_components() -> None:
    assert not [n for n in registry.names("masking") if n.startswith("_")]
    with pytest.raises(AsitError, match="unknown masking '_blocks'"):
        registry.load("masking", "_blocks")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gmlm", "unknown masking 'gmlm': did you mean 'gmml'?"),
        ("", "unknown masking '': known: gmml"),
        ("../gmml", "unknown masking '../gmml'"),
        ("gmml.os", "unknown masking 'gmml.os'"),
    ],
)
def test_unknown_name(name, message) -> None:
    with pytest.raises(AsitError) as error:
        registry.load("masking", name)
    assert message in str(error.value)


def test_a_component_that_cannot_be_imported_says_why(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n\n\nclass Settings:\n    pass\n")
    monkeypatch.setattr(asit.masking, "__path__", [*asit.masking.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        registry.load("masking", "broken")
