"""What README and docs/ name is there: pages, sections, configs, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smart_retail.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "configs").rglob("*.md"))]


def sections(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
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


def test_the_licences_name_the_data_of_others_that_the_wheel_carries() -> None:
    text = (ROOT / "docs/licences.md").read_text()
    for notes in (ROOT / "smart_retail/data").rglob("README.md"):
        assert str(notes.parent.relative_to(ROOT)) in text
