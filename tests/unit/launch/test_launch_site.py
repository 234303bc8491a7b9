from __future__ import annotations

import pytest

from asit.errors import AsitError
from asit.launch import site


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("ASIT_SITE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "asit").mkdir()
    return tmp_path


def test_the_users_file_and_the_variable(home, monkeypatch):
    (home / "asit/site.yaml").write_text(
        "partition: cpu\naccount: 123\nmodules: [gcc/12, cuda]\noptions: --qos '$Q q'\n"
    )
    monkeypatch.setenv("Q", "long")
    found = site.load()
    assert (found.partition, found.account, found.modules) == ("cpu", "123", "gcc/12 cuda")
    assert found.words() == ["--qos", "long q"]
    assert found.queue(gpus=1) == "cpu"
    (home / "other.yaml").write_text("partition: cpu\ngpu_partition: gpu\n")
    monkeypatch.setenv("ASIT_SITE", str(home / "other.yaml"))
    assert (site.load().queue(gpus=1), site.load().queue(gpus=0)) == ("gpu", "cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin: cpu", "site.yaml:1: unknown setting 'partitoin': did you mean 'partition'?"),
        ("account: {a: b}", "account: expected text"),
        ("options: --qos 'a", "no closing quotation"),
    ],
)
def test_mistakes(home, text, message):
    (home / "asit/site.yaml").write_text(text)
    with pytest.raises(AsitError) as error:
        site.load()
    assert message in str(error.value)


def test_a_named_file_has_to_be_there(home, monkeypatch):
    monkeypatch.setenv("ASIT_SITE", str(home / "none.yaml"))
    with pytest.raises(AsitError, match="no such file"):
        site.load()
