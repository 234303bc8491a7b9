from __future__ import annotations

import re

import pytest


def show(recipe, *arguments, code=0):
    """The value of text after the options have been read."""
    return recipe.run("--stop-stage", "0", "--force", "true", *arguments, code=code)


def text_of(recipe):
    return (recipe.folder / "data/text").read_text()


@pytest.mark.parametrize("words", [["--text", "x y"], ["--text=x y"]])
def test_forms_of_an_option(recipe, words):
    show(recipe, *words)
    assert text_of(recipe) == "x y\n"


@pytest.mark.parametrize("option", ["--stop-stage", "--stop_stage"])
def test_dash_and_underscore_are_the_same(recipe, option):
    recipe.run(option, "0")
    assert recipe.ran() == ["data"]


@pytest.mark.parametrize(
    "value",
    [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "* ?",
        'a"b',
        "it's",
        "",
        "  two  ",
        "a=b",
        "$HOME",
        "\\n",
        "x[$(touch pwned)]",
    ],
)
@pytest.mark.parametrize("form", ["word", "equals", "yaml", "shell"])
def test_values_are_never_evaluated(recipe, value, form):
    quote = '"' if '"' not in value else "'"
    if form == "word":
        show(recipe, "--text", value)
    elif form == "equals":
        show(recipe, f"--text={value}")
    else:
        line = f"text: {quote}{value}{quote}" if form == "yaml" else f"text={quote}{value}{quote}"
        (recipe.folder / "o.conf").write_text(line + "\n")
        show(recipe, "--config", "o.conf")
    assert text_of(recipe) == value + "\n"
    assert not (recipe.folder / "pwned").exists()


@pytest.mark.parametrize("option", ["--stage", "--skip-stages", "--stop-stage"])
def test_stage_options_are_not_evaluated_either(recipe, option):
    recipe.run(option, "a[$(touch pwned)]", code=2)
    assert not (recipe.folder / "pwned").exists()


def test_unknown_option_names_the_nearest(recipe):
    out = recipe.run("--epoch", "3", code=2)
    assert "unknown option 'epoch'" in out
    assert "did you mean 'epochs'" in out
    assert recipe.ran() == []


def test_only_declared_variables_can_be_set(recipe):
    assert "unknown option" in recipe.run("--PATH", "/nowhere", code=2)
    assert "unknown option" in recipe.run("--exp", "x", code=2), "assigned below parse_options"
    assert "unknown option" in recipe.run("--_script", "x", code=2)


@pytest.mark.parametrize(
    "words",
    [
        ["--text"],
        ["--text", "--epochs", "4"],
        ["--stage"],
        ["--text", "--nj=4"],
        ["--text", "--"],
        ["--text", "--stop-stage=1"],
    ],
)
def test_missing_value_is_an_error(recipe, words):
    assert "a value is missing" in recipe.run(*words, code=2)


def test_stray_word_is_an_error(recipe):
    assert "unexpected argument 'train'" in recipe.run("train", code=2)


def test_booleans_are_checked(recipe):
    assert "true or false, found 'yes'" in recipe.run("--quick", "yes", code=2)
    recipe.run("--quick", "true")
    recipe.run("--quick", "--nj", "4")
    recipe.run("--nj", "4", "--quick")


@pytest.mark.parametrize("value", ["two", "", "1.5", "1e3", "0x10", "9" * 30, "$(touch pwned)", "a[$(touch pwned)]"])
def test_a_number_by_default_is_a_number(recipe, value):
    assert f"--nj: expected a whole number, found '{value}'" in recipe.run(f"--nj={value}", code=2)
    (recipe.folder / "o.yaml").write_text(f"nj: '{value}'\n")
    assert "o.yaml:1: expected a whole number" in recipe.run("--config", "o.yaml", code=2)
    assert not (recipe.folder / "pwned").exists()


def test_decimals_and_leading_zeros(recipe):
    run_sh = (recipe.folder / "run.sh").read_text()
    recipe.script(
        run_sh.replace("tag=''", "share=0.5").replace("    note data\n", "    note data\n    echo $((nj + 1)) $share\n")
    )
    (recipe.folder / "o.yaml").write_text("share: 1\n")
    assert "\n9 .75\n" in recipe.run("--config", "o.yaml", "--nj", "008", "--share", ".75"), (
        "1 makes it no whole number"
    )
    assert "--share: expected a number, found 'half'" in recipe.run("--share", "half", code=2)


def test_config_file_comes_first_wherever_it_stands(recipe):
    (recipe.folder / "my conf.yaml").write_text(
        "# options\n---\ntext: from file  # note\r\nepochs: 7\n\nstop-stage: 0\n"
    )
    out = recipe.run("--epochs", "8", "--config", "my conf.yaml")
    assert recipe.ran() == ["data"]
    assert text_of(recipe) == "from file\n"
    assert "unknown" not in out
    recipe.run("--config", "my conf.yaml", "--epochs", "9", "--stop-stage", "2")
    assert (recipe.folder / "exp/train_9/model").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch: 3", "o.yaml:2: unknown option 'epoch'"),
        ("quick: 1", "o.yaml:2: quick is true or false"),
        ("  nested: 1", "o.yaml:2: expected 'option: value'"),
        ("touch pwned", "o.yaml:2: expected 'option: value'"),
    ],
)
def test_config_errors_name_the_line(recipe, line, message):
    (recipe.folder / "o.yaml").write_text(f"epochs: 1\n{line}\n")
    assert message in recipe.run("--config", "o.yaml", code=2)
    assert not (recipe.folder / "pwned").exists()


def test_missing_config_file(recipe):
    assert "cannot read the file 'no.yaml'" in recipe.run("--config", "no.yaml", code=2)


def test_help_lists_options_and_stages_and_runs_nothing(recipe):
    out = recipe.run("--epochs", "4", "--help")
    assert out.startswith("Toy recipe: writes what it was told.\n")
    assert re.search(r"^  --epochs +numbers \[3\]$", out, re.MULTILINE), "the default, not the value given"
    assert "--skip-stages" in out
    assert "1 train            Train a model" in out
    assert recipe.ran() == []


NAMES = ["name", "value", "line", "number", "pair", "names", "values", "command", "i", "code", "title", "old", "record"]


@pytest.mark.parametrize("name", NAMES)
def test_options_may_have_any_name(recipe, name):
    run_sh = (recipe.folder / "run.sh").read_text()
    recipe.script(re.sub(r"\btext\b", name, run_sh).replace(f"data/{name}", "data/text"))
    recipe.run(f"--{name}", "first")
    assert text_of(recipe) == "first\n"
    (recipe.folder / "o.yaml").write_text(f"{name}: second\n")
    recipe.ran()
    recipe.run("--config", "o.yaml")
    assert recipe.ran() == ["data", "train", "score"], "its value is part of the record"
    assert text_of(recipe) == "second\n"
    assert re.search(rf"^  --{name} .*\[a b\]$", recipe.run("--help"), re.MULTILINE)
