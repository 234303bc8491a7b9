from __future__ import annotations

import pytest

from asit.errors import AsitError
from asit.launch import queue_conf

KALDI = """# Default configuration
command sbatch --export=PATH  --ntasks-per-node=1
option time=* --time $0
option mem=* --mem-per-cpu $0
option mem=0          # Do not add anything to qsub_opts
option num_threads=* --cpus-per-task $0 --ntasks-per-node=1
option num_threads=1 --cpus-per-task 1  --ntasks-per-node=1 # Do not add anything to qsub_opts
default gpu=0
option gpu=0 -p shared
option gpu=* -p gpu --gres=gpu:$0 --time 4:0:0  # this has to be figured out
"""


def words(given, text=KALDI, handled=()):
    conf = queue_conf.parse(text, "conf/slurm.conf")
    return conf.words(conf.with_defaults(given), handled)


def test_kaldis_own_file():
    assert queue_conf.parse(KALDI, "x").command == ("sbatch", "--export=PATH", "--ntasks-per-node=1")
    assert words({}) == ["-p", "shared"]
    assert words({"gpu": "2"}) == ["-p", "gpu", "--gres=gpu:2", "--time", "4:0:0"]
    assert words({"mem": "4G", "num-threads": "1"})[:4] == ["--mem-per-cpu", "4G", "--cpus-per-task", "1"]
    assert words({"mem": "0", "gpu": "0"}) == ["-p", "shared"]


def test_words_of_a_site(monkeypatch):
    monkeypatch.setenv("GROUP", "my group")
    text = "command qsub -l 'arch=*64*'\noption queue=* -q $0@$GROUP -N '$0 x'\n"
    assert queue_conf.parse(text, "x").command == ("qsub", "-l", "arch=*64*")
    assert words({"queue": "a b"}, text) == ["-q", "a b@my group", "-N", "a b x"], "a value stays one word"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"memm": "1G"}, "--memm: not described in conf/slurm.conf: did you mean 'mem'?"),
        ({"qos": "long"}, "a line such as 'option qos=* --its-option $0' describes it"),
    ],
)
def test_undescribed_options(given, message):
    with pytest.raises(AsitError) as error:
        words(given)
    assert message in str(error.value)


def test_a_value_that_is_not_described():
    with pytest.raises(AsitError, match="--gpu 3: x describes only the values 0, 1"):
        queue_conf.parse("command qsub\noption gpu=0\noption gpu=1 -q g.q", "x").words({"gpu": "3"})
    assert words({"num-nodes": "2", "gpu": "0"}, handled={"num-nodes"}) == ["-p", "shared"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("option mem=* --mem $0", "no line 'command ...'"),
        ("command sbatch\noptoin mem=*", "x:2: expected 'command ...', 'option name=value words'"),
        ("command sbatch 'a", "no closing quotation"),
    ],
)
def test_malformed_files(text, message):
    with pytest.raises(AsitError) as error:
        queue_conf.parse(text, "x")
    assert message in str(error.value)


def test_which_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "write conf/slurm.conf" in queue_conf.read(None, "conf/slurm.conf", "command a").path
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.conf").write_text("command b")
    assert queue_conf.read(None, "conf/slurm.conf", "command a").command == ("b",)
    with pytest.raises(AsitError, match=r"--config none\.conf: no such file"):
        queue_conf.read("none.conf", "conf/slurm.conf", "command a")
