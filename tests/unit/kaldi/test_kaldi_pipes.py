from __future__ import annotations

import pytest

from asit.errors import AsitError
from asit.io.pipes import is_pipe, output_of, refuse


@pytest.mark.parametrize("spec", ["cat a|", "cat a |", " | cat a", "a |[0:3]", "a | [0:3] ", "a|:12", "a|:1[0:2]", "-"])
def test_commands_are_seen(spec):
    assert is_pipe(spec)
    with pytest.raises(AsitError, match="standard input" if spec == "-" else "command") as error:
        refuse(spec, "utterance 'u'")
    assert "allow-pipes" not in str(error.value)  # only where there is such an option
    if spec != "-":
        with pytest.raises(AsitError, match="--allow-pipes true"):
            refuse(spec, "", "--allow-pipes true")


@pytest.mark.parametrize("spec", ["a.ark:12", "a|b.wav", "a b.wav", "a.ark:1[0:2]", "-a"])
def test_files_are_no_commands(spec):
    assert not is_pipe(spec)
    refuse(spec)


def test_output_and_failure():
    assert output_of("printf abc |") == b"abc"
    with pytest.raises(AsitError, match=r"utterance 'u': command .* failed with exit code 3: why"):
        output_of("echo why >&2; exit 3 |", "utterance 'u'")
    with pytest.raises(AsitError, match="wrote nothing"):
        output_of("true |")
    with pytest.raises(AsitError, match="expected 'command"):
        output_of("| cat")
