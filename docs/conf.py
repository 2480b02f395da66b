"""Sphinx builds the site from this folder: `make docs`, offline, every warning an error.

Pages stay readable as files: links that leave this folder lead to the files beside it, and here to what the site has of
them (`generated.py`).
"""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # generated.py, and the package as it is here

import generated  # noqa: E402

from smart_retail import __version__  # noqa: E402

project, release = "smart_retail", __version__
html_title = f"smart_retail {release}"
copyright = "the authors of smart_retail, Apache 2.0"  # noqa: A001
extensions = ["myst_nb", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_static_path, html_css_files = ["static"], ["site.css"]
smartquotes = False  # two dashes are an option of a command
exclude_patterns = ["api/modules.rst"]  # a list of one: the package

myst_heading_anchors = 4  # the anchors that Git's hosts make, so that one link works there and here
nb_execution_mode = "off"  # notebooks are committed with their outputs, and a test runs them

apidoc_modules = [
    {
        "path": "../smart_retail",
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
        "max_depth": 1,
        "automodule_options": {"members", "show-inheritance"},
    }
]
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are told once, in the text of their class
add_module_names = False


def turn(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn the links of a page of this folder, and shorten the titles of modules; generated pages are done."""
    file = Path(app.env.doc2path(page))
    if file.parent.name == "api":
        source[0] = re.sub(r"\A(?:smart\\_retail\.)?(\S+) (?:module|package)$", r"\1", source[0], count=1, flags=re.M)
    if file.parent == HERE:
        source[0] = generated.turn_links(source[0], file, file)
    elif file.parent.name == "notebooks":
        source[0] = generated.turn_links(source[0], generated.ROOT / "notebooks" / file.name, file)


def skip(app: Sphinx, what: str, name: str, member: object, skipped: bool, options: object) -> bool:
    """Leave out the fields of named tuples, of which Python says only their number."""
    return skipped or (getattr(member, "__doc__", None) or "").startswith("Alias for field number")


def keep_sentence(app: Sphinx, what: str, name: str, member: object, options: object, lines: list[str]) -> None:
    """Keep napoleon from taking the words before a colon for the type of a constant."""
    if what in ("data", "attribute", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for pages."""
    generated.write_all()
    app.connect("source-read", turn)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", keep_sentence, priority=400)
