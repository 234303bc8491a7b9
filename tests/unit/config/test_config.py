"""Options: sources, precedence, types and the messages about what is wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asit.config import REQUIRED, Chosen, Options, chosen, from_dict, group, load, option, parse, read_yaml, to_dict
from asit.errors import AsitError


@dataclass(frozen=True)
class Inner(Options):
    """Options of a group."""

    rate: float = option(0.5, "a share, 50 % at first")
    mode: str = option("fast", "how", choices=("fast", "slow"))


@dataclass(frozen=True)
class Settings(Options):
    """What the tests parse.

    A second paragraph is not shown.
    """

    path: str = option(REQUIRED, "a path")
    count: int = option(3, "a number")
    on: bool = option(False, "a switch")
    limit: float | None = option(None, "a limit")
    sizes: tuple[float, ...] = option((1.0, 2.0), "several numbers")
    tags: tuple[str, ...] = option((), "several words")
    level: int = option(1, "one of three", choices=(1, 2, 3))
    share: float | None = option(None, "a share above 0", above=0, most=1)
    decays: tuple[float, ...] = option((0.9,), "shares below 1", least=0, below=1)
    pair: tuple[int, ...] = option((1, 2), "one number or two", counts=(1, 2))
    inner: Inner = group(Inner)
    masking: Chosen = chosen("masking", "gmml", "a component")


@dataclass(frozen=True)
class Middle(Options):
    """A group in a group."""

    settings: Settings = group(Settings)


@dataclass(frozen=True)
class Outer(Options):
    """A group whose group has a required option."""

    other: int = option(1, "another")
    middle: Middle = group(Middle)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("ASIT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def conf(tmp_path):
    """Writes a YAML file into a folder with a space, returns its path."""

    def write(text: str, name: str = "a conf.yaml") -> str:
        path = tmp_path / "my conf" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def run(*words: str) -> Settings:
    return parse(Settings, ["--path", "p", *words], prog="asit-x")


def refused(capsys, *words: str, base: tuple[str, ...] = ("--path", "p")) -> str:
    """The one line that a wrong command line gives."""
    with pytest.raises(SystemExit) as leaving:
        parse(Settings, [*base, *words], prog="asit-x")
    assert leaving.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("asit-x: error: ")
    return err


class TestSources:
    def test_defaults(self) -> None:
        assert run() == Settings(path="p")

    def test_file_below_environment_below_command_line(self, conf, monkeypatch) -> None:
        config = ("--config", conf("count: 10\nlimit: 1\nrate: 0.25\n"))
        assert (run(*config).count, run(*config).limit, run(*config).inner.rate) == (10, 1.0, 0.25)
        monkeypatch.setenv("ASIT_COUNT", "20")
        monkeypatch.setenv("ASIT_LIMIT", "2")
        found = run(*config, "--count", "30")
        assert (found.count, found.limit, found.inner.rate) == (30, 2.0, 0.25)

    @pytest.mark.parametrize("source", ["file", "environment", "command line"])
    def test_the_same_value_from_every_source(self, conf, monkeypatch, source) -> None:
        """Each source, one below the other, can set every kind of option."""
        words: list[str] = []
        if source == "file":
            text = "count: -4\non: true\nlimit: -1e-3\nsizes: [-1, 2.5]\ntags: [--a, 'b']\nlevel: 2\nmode: slow\n"
            words = ["--config", conf(text)]
        elif source == "environment":
            for name, value in [("COUNT", "-4"), ("ON", "true"), ("LIMIT", "-1e-3"), ("SIZES", "-1 2.5")]:
                monkeypatch.setenv(f"ASIT_{name}", value)
            for name, value in [("TAGS", "--a b"), ("LEVEL", "2"), ("MODE", "slow")]:
                monkeypatch.setenv(f"ASIT_{name}", value)
        else:
            words = ["--count", "-4", "--on", "true", "--limit", "-1e-3", "--sizes=-1", "2.5", "--tags=--a", "b"]
            words += ["--level", "2", "--mode", "slow"]
        found = run(*words)
        assert found == Settings(
            path="p", count=-4, on=True, limit=-1e-3, sizes=(-1.0, 2.5), tags=("--a", "b"), level=2, inner=found.inner
        )
        assert found.inner == Inner(mode="slow")

    def test_later_files_and_words_win(self, conf) -> None:
        one, two = conf("count: 1\nlimit: 1\n", "one.yaml"), conf("count: 2\n", "two.yaml")
        assert run("--config", one, "--config", two).count == 2
        assert run("--config", one, two).count == 2
        assert run("--config", two, "--config", one, "--count=5", "--count", "6").count == 6
        assert run("--config", one, "--config", two).limit == 1.0

    def test_environment_replaces_a_list_of_the_file(self, conf, monkeypatch) -> None:
        monkeypatch.setenv("ASIT_SIZES", "")
        assert run("--config", conf("sizes: [1, 2, 3]")).sizes == ()

    def test_a_required_option_may_come_from_anywhere(self, conf, monkeypatch) -> None:
        assert parse(Settings, ["--config", conf("path: q")]).path == "q"
        monkeypatch.setenv("ASIT_PATH", "r")
        assert parse(Settings, []).path == "r"

    def test_other_variables_are_left_alone(self, monkeypatch) -> None:
        monkeypatch.setenv("ASIT_NO_SUCH_OPTION", "1")
        assert run() == Settings(path="p")


class TestSpelling:
    def test_dashes_and_underscores_are_one(self, conf) -> None:
        for word in ("--drop_ratio", "--drop-ratio"):
            assert run(word, "0.25").masking.settings.drop_ratio == 0.25
            assert run(f"{word}=0.25").masking.settings.drop_ratio == 0.25
        assert run("--config", conf("drop-ratio: 0.25")).masking.settings.drop_ratio == 0.25

    def test_values_keep_their_underscores_and_equals_signs(self) -> None:
        assert parse(Settings, ["--path=--my_dir=a_b"]).path == "--my_dir=a_b"
        assert run("--tags", "a_b=c", "d=").tags == ("a_b=c", "d=")

    def test_values_with_spaces_and_percent_signs(self, monkeypatch) -> None:
        assert parse(Settings, ["--path", "a b % c"]).path == "a b % c"
        monkeypatch.setenv("ASIT_PATH", "[a, b] % c")
        assert parse(Settings, []).path == "[a, b] % c"

    @pytest.mark.parametrize(
        ("word", "value"), [("none", None), ("null", None), ("None", None), ("0.5", 0.5), ("-.5", -0.5)]
    )
    def test_optional(self, conf, word, value) -> None:
        assert run("--limit", word).limit == value
        assert run("--config", conf(f"limit: {word}")).limit == value

    @pytest.mark.parametrize(("word", "value"), [("true", True), ("false", False), ("True", True), ("FALSE", False)])
    def test_bool(self, word, value) -> None:
        assert run("--on", word).on is value

    @pytest.mark.parametrize("text", ["5e-4", "0.0005", "5.0e-4", "'5e-4'"])
    def test_numbers_that_yaml_reads_as_text(self, conf, text) -> None:
        assert run("--config", conf(f"limit: {text}")).limit == 5e-4

    def test_a_scalar_in_place_of_a_list(self, conf) -> None:
        assert run("--config", conf("sizes: 7\ntags: a b")).sizes == (7.0,)
        assert run("--config", conf("sizes: 7\ntags: a b")).tags == ("a b",)
        assert run("--config", conf("sizes: []")).sizes == ()

    def test_limits_are_values_or_not(self) -> None:
        assert (run("--share", "1").share, run("--share", "none").share) == (1.0, None)
        assert run("--decays", "0", "0.999").decays == (0.0, 0.999)

    def test_whole_numbers_become_floats(self, conf) -> None:
        assert isinstance(run("--config", conf("limit: 1")).limit, float)
        assert isinstance(run("--limit", "1").limit, float)


class TestWrongCommandLine:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--cuont", "4"], "unknown option '--cuont': did you mean '--count'?"),
            (["--drop_ration", "4"], "unknown option '--drop-ration': did you mean '--drop-ratio'?"),
            (["-count", "4"], "unknown option '-count': did you mean '--count'?"),
            (["--warmup-steps", "4"], "unknown option '--warmup-steps': it is now warmup (1 or more: updates)"),
            (["--zzzzzz", "1"], "unknown option '--zzzzzz': known: --"),
            (["--count"], "--count: expected a whole number"),
            (["--on", "--count", "3"], "--on: expected true or false"),
            (["--sizes", "--count", "3"], "--sizes: expected a number or a list of such"),
            (["--count", "3", "4"], "--count: expected one value, found 2: '3' '4'"),
            (["--count", "3.5"], "--count: expected a whole number, found '3.5'"),
            (["--count", ""], "--count: expected a whole number, found ''"),
            (["--limit", "much"], "--limit: expected a number or none, found 'much'"),
            (["--limit", "nan"], "--limit: expected a finite number, found nan"),
            (["--limit=-inf"], "--limit: expected a finite number, found -inf"),
            (["--sizes", "1", "x"], "--sizes: expected a number or a list of such, found 'x'"),
            (["--sizes", "[1, 2]"], "found '[1, 2]'; several values are words of their own, as in 1 2"),
            (["--sizes", "1,2"], "found '1,2'; several values are words of their own, as in 1 2"),
            (["--on", "yes"], "--on: expected true or false, found 'yes'"),
            (["--on", "1"], "--on: expected true or false, found '1'"),
            (["--level", "4"], "--level: expected one of 1, 2, 3, found 4"),
            (["--mode", "fats"], "--mode: expected one of fast, slow, found 'fats': did you mean 'fast'?"),
            (["--config"], "--config: expected a file"),
            (["--share", "0"], "--share: expected more than 0 and at most 1, found 0.0"),
            (["--share", "1.01"], "--share: expected more than 0 and at most 1, found 1.01"),
            (["--decays", "0", "1"], "--decays: expected at least 0 and less than 1, found 1.0"),
            (["--decays", "-0.1"], "--decays: expected at least 0 and less than 1, found -0.1"),
        ],
    )
    def test_message(self, capsys, words, message) -> None:
        assert message in refused(capsys, *words)

    def test_missing(self, capsys) -> None:
        assert "missing --path; see --help" in refused(capsys, base=())

    def test_a_word_without_an_option(self, capsys) -> None:
        assert "unexpected 'data'" in refused(capsys, base=("data",))

    def test_positional_words(self, capsys) -> None:
        @dataclass(frozen=True)
        class Copy(Options):
            """Copy."""

            source: str = option(REQUIRED, "from", positional=True)
            target: str = option("out", "to", positional=True)
            count: int = option(1, "how many")
            sizes: tuple[int, ...] = option((), "any number")

        for words in (["a", "b"], ["--count", "2", "a", "b"], ["a", "--target", "b"], ["a", "--count", "2", "b"]):
            made = parse(Copy, words)
            assert (made.source, made.target) == ("a", "b"), words
        assert parse(Copy, ["a", "--sizes", "1", "2"]).sizes == (1, 2)
        for words, part in ([["a", "b", "c"], "unexpected 'c'"], [["--count", "2"], "missing"]):
            with pytest.raises(SystemExit):
                parse(Copy, words)
            assert part in capsys.readouterr().err

    def test_variable(self, capsys, monkeypatch) -> None:
        monkeypatch.setenv("ASIT_COUNT", "many")
        assert "environment variable ASIT_COUNT: expected a whole number, found 'many'" in refused(capsys)
        assert run("--count", "1").count == 1, "a variable that does not count is not looked at"


class TestWrongFile:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("patch_mels: 0\n", "a conf.yaml:1: unknown option 'patch_mels': it is now the second number of patch"),
            ("pair: [1, 2, 3]\n", "a conf.yaml:1: option 'pair': expected 1 or 2 values, found 3"),
            ("count: 1\ncuont: 4\n", "a conf.yaml:2: unknown option 'cuont': did you mean 'count'?"),
            ("count: 1\n\ncount: 2\n", "a conf.yaml:3: option 'count' is given twice; keep one"),
            ("drop-ratio: 0.5\ndrop_ratio: 0.5\n", "a conf.yaml:2: option 'drop_ratio' is given twice"),
            ("count: 1\nlimit: much\n", "a conf.yaml:2: option 'limit': expected a number or none, found 'much'"),
            ("count: 2.0", "a conf.yaml:1: option 'count': expected a whole number, found 2.0"),
            ("count: true", "option 'count': expected a whole number, found true"),
            ("count:", "option 'count': expected a whole number, found nothing"),
            ("count: [1, 2]", "option 'count': expected a whole number, found a list of 2"),
            ("count: {a: 1}", "option 'count': expected a whole number, found a mapping (options are flat"),
            ("on: 1", "option 'on': expected true or false, found 1"),
            ("on: 'yes'", "option 'on': expected true or false, found 'yes'"),
            ("limit: .nan", "option 'limit': expected a finite number, found nan"),
            (
                "sizes: 1 2",
                "option 'sizes': expected a number or a list of such, found '1 2'; a list is written [1, 2]",
            ),
            ("sizes: [1, [2]]", "option 'sizes': expected a number or a list of such, found a list of 1"),
            ("tags: [1]", "option 'tags': expected text or a list of such, found 1; quote it to make it text"),
            ("path: off", "option 'path': expected text, found false; quote it to make it text"),
            ("path:", "option 'path': expected text, found nothing"),
            ("mode: fats", "a conf.yaml:1: option 'mode': expected one of fast, slow, found 'fats'"),
            ("level: 7", "option 'level': expected one of 1, 2, 3, found 7"),
            ("share: 2", "a conf.yaml:1: option 'share': expected more than 0 and at most 1, found 2.0"),
            ("masking: gmlm", "a conf.yaml:1: unknown masking 'gmlm': did you mean 'gmml'?"),
            ("a: 1\n b: 2\n", "a conf.yaml:2: not valid YAML: "),
            ("a: [1\n", "not valid YAML"),
            ("count: 1\n\tlimit: 2", "a conf.yaml:2: not valid YAML"),
            ("!!python/object/apply:os.system ['true']", "expected 'option: value' lines"),
            ("count: !!python/object/apply:os.system ['true']", "a conf.yaml:1: not valid YAML"),
            ("limit: 2024-02-31", "not valid YAML"),
            ("- 1\n- 2\n", "a conf.yaml:1: expected 'option: value' lines, found a list"),
            ("words", "a conf.yaml:1: expected 'option: value' lines, found text"),
            ("[1]: 2", "a conf.yaml:1: expected an option's name, found a list"),
            (b"path: \xff\n", "a conf.yaml:1: expected UTF-8 text, found byte 0xff"),
            ("path: a\x00b", "not valid YAML"),
        ],
    )
    def test_message(self, conf, text, message) -> None:
        with pytest.raises(AsitError) as error:
            run("--config", conf(text))
        assert message in str(error.value)
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(os.path.dirname(conf("")))

    @pytest.mark.parametrize("path", ["nowhere.yaml", "."])
    def test_unreadable(self, tmp_path, path) -> None:
        with pytest.raises(AsitError, match=r"cannot read the configuration: (No such file|Is a directory)"):
            run("--config", str(tmp_path / path))

    @pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n"])
    def test_an_empty_file_is_no_mistake(self, conf, text) -> None:
        assert run("--config", conf(text)) == Settings(path="p")

    def test_a_wrong_value_is_wrong_even_where_the_command_line_wins(self, conf) -> None:
        with pytest.raises(AsitError, match=r":1: option 'count': expected"):
            run("--config", conf("count: many"), "--count", "3")


class TestChosen:
    def test_options_of_the_component_come_with_it(self, conf) -> None:
        assert run("--drop-ratio", "0.25").masking.settings.drop_ratio == 0.25
        found = run("--masking", "time_freq")
        assert found.masking.name == "time_freq"
        assert "drop_ratio" not in to_dict(found)
        assert run("--config", conf("masking: random_patch"), "--masking", "gmml").masking.name == "gmml"

    def test_help_shows_those_of_the_chosen_one(self, capsys) -> None:
        for words, shown in (([], True), (["--masking", "time_freq"], False)):
            with pytest.raises(SystemExit):
                parse(Settings, [*words, "--help"])
            assert ("--drop-ratio" in capsys.readouterr().out) is shown

    def test_an_option_of_another_component_says_so(self, capsys, conf) -> None:
        expected = "unknown option '--drop-ratio': it belongs to --masking gmml, which is not chosen"
        assert expected in refused(capsys, "--masking", "time_freq", "--drop-ratio", "1")
        with pytest.raises(AsitError, match=r"conf\.yaml:2: unknown option 'drop_ratio': it belongs to masking gmml"):
            run("--config", conf("masking: time_freq\ndrop_ratio: 1\n"))

    def test_wrong_name_says_where(self, monkeypatch) -> None:
        with pytest.raises(AsitError, match=r"^--masking: unknown masking 'gmlm': did you mean 'gmml'\?"):
            run("--masking", "gmlm")
        monkeypatch.setenv("ASIT_MASKING", "gmlm")
        with pytest.raises(AsitError, match=r"^environment variable ASIT_MASKING: unknown masking 'gmlm'"):
            run()

    def test_the_environment_has_no_say_in_saved_settings(self, monkeypatch) -> None:
        saved = to_dict(run("--drop-ratio", "0.25"))
        monkeypatch.setenv("ASIT_MASKING", "time_freq")
        assert from_dict(Settings, saved).masking.settings.drop_ratio == 0.25

    def test_choices_inside_chosen_components(self) -> None:
        @dataclass(frozen=True)
        class Nested(Options):
            method: Chosen = chosen("methods", "asit", "which")

        found = parse(Nested, ["--masking", "time_freq"])
        assert found.method.settings.masking.name == "time_freq"
        assert from_dict(Nested, to_dict(found)) == found


class TestHelp:
    def test_text(self, capsys, monkeypatch) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as leaving:
            parse(Settings, ["--count", "nonsense", "--help"], prog="asit-x")
        assert leaving.value.code == 0
        out = capsys.readouterr().out
        assert out.startswith("usage: asit-x --path STR [--option value ...]\n\nWhat the tests parse.\n")
        assert "second paragraph" not in out
        for expected in (
            "a path (required)",
            "a share, 50 % at first (default: 0.5)",
            "a limit (default: none)",
            "a switch (default: false)",
            "--sizes FLOAT ...",
            "several numbers (default: 1 2)",
            "--mode {fast,slow}",
            "ASIT_",
        ):
            assert expected in out

    def test_short_form(self, capsys) -> None:
        with pytest.raises(SystemExit) as leaving:
            parse(Settings, ["-h"])
        assert leaving.value.code == 0
        assert "usage:" in capsys.readouterr().out


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


class TestDictionaries:
    @given(
        path=TEXT,
        count=st.integers(-(2**63), 2**63 - 1),
        limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        sizes=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
        tags=st.lists(TEXT),
        on=st.booleans(),
        masking=st.sampled_from(["gmml", "time_freq", "random_patch"]),
    )
    def test_round_trip_through_yaml(self, tmp_path_factory, **values) -> None:
        settings = from_dict(Settings, values)
        flat = to_dict(settings)
        assert flat["sizes"] == values["sizes"]
        path = tmp_path_factory.mktemp("round") / "config.yaml"
        path.write_text(yaml.safe_dump(flat, sort_keys=False), encoding="utf-8")
        assert load(Settings, path) == from_dict(Settings, flat) == settings

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"path": "p", "cuont": 1}, "unknown option 'cuont': did you mean 'count'?"),
            ({"path": "p", "count": "1"}, "option 'count': expected a whole number, found '1'"),
            ({"path": "p", "count": True}, "option 'count': expected a whole number, found true"),
            ({"path": "p", "sizes": "big"}, "option 'sizes': expected a number or a list of such, found 'big'"),
            ({"path": "p", "mode": "fats"}, "option 'mode': expected one of fast, slow, found 'fats'"),
            ({"path": "p", "limit": float("nan")}, "option 'limit': expected a finite number, found nan"),
            ({"path": "p", "share": 0.0}, "option 'share': expected more than 0"),
            ({}, "option 'path' is missing: a path"),
        ],
    )
    def test_wrong(self, values, message) -> None:
        with pytest.raises(AsitError) as error:
            from_dict(Settings, values)
        assert message in str(error.value)

    def test_load_names_the_file(self, conf) -> None:
        with pytest.raises(AsitError, match=r"a conf\.yaml:1: unknown option 'pth': did you mean 'path'\?"):
            load(Settings, conf("pth: 1"))
        with pytest.raises(AsitError, match=r"a conf\.yaml: option 'path' is missing"):
            load(Settings, conf("count: 1"))

    def test_read_yaml_gives_lines(self, conf) -> None:
        path = conf("a: 1\n\nb-c: [x, y]\n")
        assert read_yaml(path) == {"a": (1, f"{path}:1"), "b_c": (["x", "y"], f"{path}:3")}


class TestDefinitions:
    def test_a_name_twice_is_a_bug(self) -> None:
        @dataclass(frozen=True)
        class Twice(Options):
            rate: float = option(1.0, "one")
            inner: Inner = group(Inner)

        with pytest.raises(TypeError, match=r"Twice: options defined twice: \['rate'\]"):
            parse(Twice, [])

    def test_groups_with_required_options_nest(self) -> None:
        assert parse(Outer, ["--path", "p"]).middle.settings == Settings(path="p")


def test_a_range_holds_for_settings_made_in_python() -> None:
    @dataclass(frozen=True)
    class Limited(Options):
        share: float = option(0.5, "a share", least=0, below=1)

    assert Limited(share=0).share == 0.0
    with pytest.raises(AsitError, match="option 'share': expected at least 0 and less than 1, found 1"):
        Limited(share=1.0)


def test_a_variable_of_an_earlier_version_is_named_where_its_place_was_taken(monkeypatch, capsys):
    from asit.runs.evaluate import Settings as EvaluateSettings
    from asit.train.settings import TrainSettings

    monkeypatch.setenv("ASIT_WARMUP_EPOCHS", "5")
    with pytest.raises(SystemExit):
        parse(TrainSettings, [])
    assert "environment variable ASIT_WARMUP_EPOCHS: no such option: it is now warmup" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(EvaluateSettings, [])
    assert "WARMUP" not in capsys.readouterr().err, "a command that has no such option"


def test_every_command_tells_the_version(capsys):
    from asit import __version__
    from asit.train.settings import TrainSettings

    with pytest.raises(SystemExit) as end:
        parse(TrainSettings, ["--version"])
    assert (end.value.code or 0, capsys.readouterr().out) == (0, f"asit {__version__}\n")
