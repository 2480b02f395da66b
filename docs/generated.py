"""The pages of the site that are made from the code, and links that leave this folder; `conf.py` calls both.

`docs/generated/` and `docs/notebooks/` are written for each build and not committed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from pathlib import Path
from unittest.mock import patch

from smart_retail.cli import COMMANDS, main

HERE = Path(__file__).parent
ROOT = HERE.parent
COLUMNS = "96"
"""Characters of a help text's line: what a page shows without scrolling."""
PAGES = {
    "configs/experiment/reference/README.md": "generated/reference-weights.md",
    "configs/experiment/reference/tried.md": "generated/what-was-tried.md",
    "smart_retail/pretrained/mobileone_s2/MODEL_CARD.md": "generated/model-card.md",
    "CHANGELOG.md": "generated/changelog.md",
    "CONTRIBUTING.md": "generated/contributing.md",
}
"""Files outside this folder that are pages of the site, where they exist."""
CONFIGS = "generated/configs.md"
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def page_of(file: Path) -> str | None:
    """Return the page, from this folder, that shows a file of the repository; None where no page does."""
    path = file.relative_to(ROOT)
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    if path.parts[0] == "configs" and path.suffix == ".yaml":
        return f"{CONFIGS}#{anchor(path)}"
    if path.parts[0] == "configs" and path.as_posix() not in PAGES:
        return CONFIGS
    return path.as_posix() if path.parts[0] == "notebooks" else PAGES.get(path.as_posix())


def anchor(config: Path) -> str:
    """Return the anchor of a config on the page of all configs."""
    return re.sub(r"[^\w-]", "", config.as_posix())


def turn_links(text: str, source: Path, page: Path) -> str:
    """Return Markdown whose relative links hold on a page of the site.

    Args:
        text: Markdown, or a notebook's JSON.
        source: the file that it stands in, whose folder its links start from.
        page: the page of the site that it is for.
    """

    def turned(link: re.Match) -> str:
        target = (source.parent / link[1]).resolve()
        shown = page_of(target) if target.is_relative_to(ROOT) else None
        if shown is None:
            return link[0]
        shown, _, inside = shown.partition("#")
        path = os.path.relpath(HERE / shown, page.parent)
        return path + (link[2] or (f"#{inside}" if inside else ""))

    return LINK.sub(turned, text)


def help_of(words: list[str]) -> str:
    """Return what a command prints for ``--help``."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit), patch.dict(os.environ, COLUMNS=COLUMNS):
        main([*words, "--help"])
    return text.getvalue().strip().replace(str(ROOT), ".")


def commands() -> str:
    """Return the page of all commands, from their parsers."""
    lines = [
        "# Commands",
        "",
        "What each command prints for `--help`. Settings of `fit` stand in configs as well, see [configs](configs.md).",
        "`python -m smart_retail` is the same program. Exit codes: 0, 2 for what you can put right, 130 after",
        "Ctrl-C, 143 after SIGTERM; `reproduce` ends with 1 where numbers differ.",
        "",
        "| command | what it does |",
        "| --- | --- |",
        *(f"| [`{name}`](#{name.replace(' ', '-')}) | {line} |" for name, (_, line) in COMMANDS.items()),
    ]
    for name in COMMANDS:
        lines += ["", f"## {name}", "", "```text", help_of(name.split()), "```"]
    return "\n".join(lines) + "\n"


def configs() -> str:
    """Return the page of all configs, each as it stands in its file."""
    lines = ["# Configs", "", "Every config as it stands in its file; [which one is for what](../train.md#configs)."]
    for folder in (".", "experiment", "data", "sweep", "debug"):
        lines += ["", f"## {'base' if folder == '.' else folder}"]
        for file in sorted((ROOT / "configs" / folder).glob("*.yaml")):
            path = file.relative_to(ROOT)
            text = file.read_text(encoding="utf-8").rstrip()
            lines += ["", f"({anchor(path)})=", f"### {path.relative_to('configs')}", "", "```yaml", text, "```"]
    return "\n".join(lines) + "\n"


def write(page: str, text: str) -> None:
    """Write a page, if it differs: Sphinx reads again what is newer."""
    path = HERE / page
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_all() -> None:
    """Write every page that is made from other files of the repository."""
    write("generated/commands.md", commands())
    write(CONFIGS, configs())
    for path, page in PAGES.items():
        if (ROOT / path).exists():
            text = turn_links((ROOT / path).read_text(encoding="utf-8"), ROOT / path, HERE / page)
            title = "" if text.startswith("# ") else f"# {Path(page).stem.replace('-', ' ').capitalize()}\n\n"
            write(page, title + text)
    shutil.copytree(ROOT / "notebooks", HERE / "notebooks", dirs_exist_ok=True)
