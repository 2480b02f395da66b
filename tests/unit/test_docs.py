"""What README, docs/ and notebooks/ name is there: pages, sections, configs, commands, options, names in Python."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from smart_retail.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = sorted(DOCS.glob("*.md"))
PAGES = [ROOT / "README.md", *SITE, *sorted((ROOT / "configs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
README_LINES, PICTURE_BYTES = 150, 300_000


def text_of(page: Path) -> str:
    """Return a page's Markdown; of a notebook that of its cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def sections(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code of a page's blocks in some languages."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def generated() -> Iterator[ModuleType]:
    """What makes the generated pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(DOCS), *sys.path])
        yield import_module("generated")


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in sections(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_configs_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for config in re.findall(r"configs/[\w/.-]+\.yaml", text):
        assert (ROOT / config).is_file(), config
    for config in re.findall(r"`((?:experiment|data|sweep)/\w+\.yaml)`", text):
        assert (ROOT / "configs" / config).is_file(), config
    commands = {name.split()[0] for name in COMMANDS}
    named = set(re.findall(r"smart-retail ([a-z_]+)", text))
    assert named <= commands
    assert set(re.findall(r"-m (?:-- )?smart_retail ([a-z_]+)", text)) <= commands
    assert not [line for line in text.splitlines() if re.search(r"smart[-_]retail .* --[a-z_.]+-[a-z]", line)]


def test_every_option_that_a_page_gives_to_a_command_is_one_that_it_takes(generated: ModuleType) -> None:
    settings = generated.help_of(["fit"]) + generated.help_of(["fit", "--help", "trainer"])
    wrong = []
    for page in PAGES:
        for line in "\n".join(blocks(page, "sh", "bash")).replace("\\\n", " ").splitlines():
            if not (command := re.search(r"^[^#]*smart-retail (benchmark \w+|\w+)", line)):
                continue
            own = generated.help_of(command[1].split())
            known = own + settings * bool(re.search(r"ettings? of\s+(the\s+)?fit|--SETTING|--config FILE", own))
            for option in re.findall(r"(?<=\s)--([\w.]+)", line[command.end() :].partition("  #")[0]):
                # What a config's callback takes is not in the help.
                if not re.search(rf"--{re.escape(option.partition('.callbacks.')[0])}\b", known):
                    wrong.append(f"{page.name}: --{option} in {line}")
    assert not wrong


@pytest.mark.parametrize("page", [ROOT / "README.md", *SITE], ids=lambda p: p.name)
def test_python_on_a_page_is_python_and_imports_what_is_there(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "smart_retail":
                missing = [a.name for a in node.names if not hasattr(import_module(node.module), a.name)]
                assert not missing, (node.module, missing)


def test_the_readme_is_read_in_a_few_minutes_and_its_picture_loads_in_a_second() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES
    assert (DOCS / "figures/faces.png").stat().st_size < PICTURE_BYTES


def test_every_page_is_in_the_sites_table_of_contents() -> None:
    listed = {line for block in blocks(DOCS / "index.md", r"\{toctree\}") for line in block.splitlines()}
    assert {page.stem for page in SITE} - {"index"} <= listed


def test_the_page_of_commands_has_them_all_and_names_no_machine(generated: ModuleType) -> None:
    text = generated.commands()
    assert all(f"\n## {name}\n" in text for name in COMMANDS)
    assert str(ROOT) not in text and "usage: smart-retail watch" in text


def test_every_config_is_on_the_page_of_configs(generated: ModuleType) -> None:
    text = generated.configs()
    for file in (ROOT / "configs").rglob("*.yaml"):
        assert file.read_text(encoding="utf-8").rstrip() in text, file


def test_links_that_leave_the_pages_lead_to_what_the_site_has_of_them(generated: ModuleType) -> None:
    page = DOCS / "train.md"
    text = (
        "[a](../configs/data/own.yaml) [b](../notebooks/01_look_at_the_data.ipynb) [c](gpu.md#there) [d](https://e.f)"
    )
    assert generated.turn_links(text, page, page) == (
        "[a](generated/configs.md#configsdataownyaml) [b](notebooks/01_look_at_the_data.ipynb) [c](gpu.md#there) "
        "[d](https://e.f)"
    )


def test_the_licences_name_the_data_of_others_that_the_wheel_carries() -> None:
    text = (ROOT / "docs/licences.md").read_text()
    for notes in (ROOT / "smart_retail/data").rglob("README.md"):
        assert str(notes.parent.relative_to(ROOT)) in text
