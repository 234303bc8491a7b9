"""What README and docs say is there: links, commands, options, the generated reference, the complete example."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

import asit.masking
from asit.config import parse
from asit.models import shipped
from asit.runs.pretrain import PretrainSettings

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {"data", "exp", "exp_quick", "fbank", "downloads", "node_modules"}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in SKIPPED for part in path.relative_to(ROOT).parts)
)
OTHERS = {
    "docs/commands.md",
    "docs/data_dir.md",
    "docs/cluster.md",
}  # generated; these name Kaldi's and Slurm's options


SCRIPTS = ("install", "make_fbank", "new_recipe", "run_jobs")  # in tools/, with options


def load(path: Path) -> ModuleType:
    """A Python file that is not part of a package."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


REFERENCE = load(ROOT / "tools/dev/document_commands.py")
SETTINGS = {REFERENCE.command_name(m): (m, REFERENCE.settings_of(m)) for m in REFERENCE.modules()}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """The contents of a document's fenced blocks."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options_of_command(command: str) -> set[str]:
    module, settings = SETTINGS[command]
    return REFERENCE.options_of(settings) if settings else set(re.findall(r"--[a-z][a-z-]*", module.USAGE))


def options_of_script(path: Path) -> set[str]:
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True, timeout=60)
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout)) | {"--help"}


def test_documents_are_found() -> None:
    assert {"README.md", "docs/commands.md", "egs/mini/README.md", "tests/golden/README.md"} <= set(
        map(name, DOCUMENTS)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), f"{name(document)}: {target} does not exist"
        if anchor:
            assert anchor in anchors(path), f"{name(document)}: {target}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_exist_with_their_options(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    names = {"my_corpus", *re.findall(r"^tools/new_recipe\.sh (\w+) ", text, re.MULTILINE)}
    made = re.compile(rf"egs/({'|'.join(names)})/")  # recipes that a reader makes
    for block in blocks(document, "(?:sh|bash)"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            known: set[str] | None = None
            for before, word in zip(["", *words], words, strict=False):
                if word.startswith("asit-") and word not in shipped.names() and before not in ("--init", "--model"):
                    assert word in SETTINGS, f"{name(document)}: '{word}' is not a command"
                    known = options_of_command(word)
                elif re.fullmatch(r"\S*\.sh", word) and not word.startswith((".", "path")):
                    path = ROOT / made.sub("egs/TEMPLATE/", word)
                    assert path.exists(), f"{name(document)}: no script {word}"
                    known = options_of_script(path)
                elif re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word) and known is not None:
                    assert word.partition("=")[0] in known, f"{name(document)}: {line.strip()}: no option {word}"


def test_named_options_exist() -> None:
    known = set().union(*(options_of_command(command) for command in SETTINGS))
    for script in [
        *ROOT.glob("egs/*/run.sh"),
        *ROOT.glob("benchmarks/*.sh"),
        *(ROOT / "tools" / f"{name}.sh" for name in SCRIPTS),
    ]:
        known |= options_of_script(script)
    for python in [
        p for folder in ("egs/*/local", "benchmarks", "tools", "tools/dev") for p in ROOT.glob(f"{folder}/*.py")
    ]:
        found = re.findall(r"^    (\w+): .* = option\(", python.read_text(encoding="utf-8"), re.MULTILINE)
        known |= {"--" + word.replace("_", "-") for word in found}
    known |= {"--logdir", "--version"}  # TensorBoard's; every command's
    for document in [d for d in DOCUMENTS if name(d) not in OTHERS]:
        for code in re.findall(r"`([^`\n]+)`", prose(document)):
            for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
                assert word in known, f"{name(document)}: no option {word}"


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert written == REFERENCE.document(), "run tools/dev/document_commands.py"


def test_the_list_of_recipes_is_up_to_date() -> None:
    written = (ROOT / "egs/README.md").read_text(encoding="utf-8")
    assert written == load(ROOT / "tools/dev/document_recipes.py").document(), "run tools/dev/document_recipes.py"


def test_the_reference_has_every_command_and_option() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    for command, (_, settings) in SETTINGS.items():
        assert f"\n## {command}\n" in text
        for option in REFERENCE.options_of(settings) - {"--config", "--help"} if settings else ():
            assert f"`{option}`" in text


def test_the_readme_opens_with_the_two_commands() -> None:
    first, second = blocks(ROOT / "README.md", "sh")[:2]
    assert (first, second) == ("egs/mini/run.sh\n", "tools/test.sh\n")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# asit\n")
    assert "](docs/results.png)" in text.partition("```")[0]
    assert len(text.splitlines()) <= 150
    *_, main = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert main == f'CMD ["{first.strip()}"]', "a container's main command is the main job"


def test_picture_and_page_of_the_results_are_up_to_date() -> None:
    results = load(ROOT / "tools/dev/document_results.py")
    assert Image.open(results.PICTURE).text["Description"] == repr(results.all_tables()), (
        "run tools/dev/document_results.py"
    )
    assert results.PAGE.read_text(encoding="utf-8") == results.page(results.all_tables())


# Of the others, one tells what was, one is generated and has differences of means.
@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if name(d) not in ("CHANGELOG.md", "docs/results.md")], ids=name
)
def test_quoted_means_stand_in_a_table(document: Path) -> None:
    tables = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("egs/*/RESULTS*.md"))
    quoted = re.findall(r"\d+\.\d ± \d+\.\d", document.read_text(encoding="utf-8"))
    missing = [figure for figure in quoted if not re.search(rf"(?<!\d){re.escape(figure)}(?!\d)", tables)]
    assert not missing, "not, or no longer, in any egs/*/RESULTS*.md"


def test_picture_and_page_of_the_ablations_are_up_to_date() -> None:
    ablations = load(ROOT / "tools/dev/document_ablations.py")
    found = ablations.all_tables()
    assert Image.open(ablations.PICTURE).text["Description"] == repr(found), "run tools/dev/document_ablations.py"
    assert ablations.PAGE.read_text(encoding="utf-8") == ablations.page(found)
    (amounts,) = ablations.all_tables("amounts")
    assert Image.open(ablations.AMOUNTS).text["Description"] == repr(amounts), "run tools/dev/document_ablations.py"


def test_the_picture_takes_the_tables_as_they_are_written() -> None:
    text = """# x: results

## speakers

accuracy in %, mean ± sample standard deviation over seeds

| system | labels all (263 clips) | labels few (15 clips) |
|---|---|---|
| pretrained | 96.2 ± 0.7 (3) | 94.7 ± 0.9 (3) |
| from scratch | 92.1 ± 0.8 (3) | 82.8 ± 3.7 (3) |
| chance | 20.0 | 20.0 |

## published only

| system | parameters | value | source |
|---|---|---|---|
| **this recipe**, pretrained | | not run: needs the corpus | |
"""
    (table,) = load(ROOT / "tools/dev/document_results.py").tables("x", text)
    assert (table.task, table.metric, table.clips) == ("speakers", "accuracy", (15, 263))
    assert table.values == {
        "pretrained": ((94.7, 0.9), (96.2, 0.7)),
        "from scratch": ((82.8, 3.7), (92.1, 0.8)),
    }


def test_the_map_has_every_package() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for package in sorted(p.parent for p in ROOT.glob("asit/*/__init__.py")):
        assert f"| `asit/{package.name}` |" in text, f"docs/architecture.md: no line for asit/{package.name}"


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_files_that_a_map_names_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    missing = [file for file in re.findall(r"(?<![\w./])asit/[\w/]+\.py", text) if not (ROOT / file).is_file()]
    assert not missing, f"{document}: no such file"


def test_every_dependency_is_documented() -> None:
    table = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    required = re.findall(r'^\s+"([A-Za-z0-9_-]+)>=', (ROOT / "setup.py").read_text(encoding="utf-8"), re.MULTILINE)
    required += re.findall(r'\["([A-Za-z0-9_-]+)>=', (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert len(required) > 20
    for package in required:
        assert re.search(rf"\b{package}\b", table), f"docs/dependencies.md: {package} is missing"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The masking of docs/extending.md as a file of asit.masking."""
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    ((file, code),) = re.findall(r"<!-- file: asit/masking/(\w+\.py) -->\n```python\n(.*?)^```", text, re.M | re.S)
    (tmp_path / file).write_text(code, encoding="utf-8")
    monkeypatch.setattr(asit.masking, "__path__", [*asit.masking.__path__, str(tmp_path)])
    yield file.removesuffix(".py")
    sys.modules.pop(f"asit.masking.{file.removesuffix('.py')}", None)


def test_the_example_of_a_masking_keeps_the_contract(example: str) -> None:
    contract = load(ROOT / "tests/contracts/test_components.py")
    assert example in contract.MASKINGS
    contract.test_module_is_documented_and_short("masking", example)
    contract.test_settings_are_frozen_options_with_help("masking", example)
    checks = [check for word, check in inspect.getmembers(contract.TestMasking()) if word.startswith("test_")]
    assert len(checks) >= 4
    for check in checks:
        check(example)


def test_the_example_of_a_masking_is_an_option(example: str) -> None:
    settings = parse(PretrainSettings, ["--masking", example, "--bin-ratio", "0.25"], prog="asit-pretrain")
    masking = settings.method.settings.masking
    assert (masking.name, masking.settings.bin_ratio) == (example, 0.25)
