"""Code of one's own in modules beside one's configs: found in the working directory, imported where one asks.

A user asks by ``class_path`` in a config, or by ``--imports my_ideas``. A file of weights never does: what a checkpoint
names is looked up among the modules that are imported already.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from smart_retail.config_files import named_files, parse_yaml, read_yaml
from smart_retail.errors import ConfigError, one_line

_added: list[str] = []


def find_in_working_directory() -> None:
    """Let modules in the working directory be found after all that is installed, so that none takes another's name.

    ``python -m`` puts that folder first, the command's own script not at all; what PYTHONPATH says stays.
    """
    try:
        here = str(Path.cwd())
    except OSError:  # it was deleted
        return
    if here in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        return
    known = here in sys.path and here not in _added
    sys.path[:] = [path for path in sys.path if path not in ("", here, *_added)] + [here]
    _added[:] = [] if known else [here]


def import_own(words: Sequence[str]) -> None:
    """Import the modules that a command's words, or the configs they name, list as ``imports``.

    Raises:
        ConfigError: one is missing, fails, or has the name of an installed one.
    """
    for name in own_modules(words):
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"imports {name!r}: name a module, as my_ideas for the file my_ideas.py")
        file = Path(*name.split(".")).with_suffix(".py")
        try:
            found = import_module(name)
        except ModuleNotFoundError as error:
            if error.name and not f"{name}.".startswith(f"{error.name}."):
                raise ConfigError(f"imports {name}: it needs {error.name}, which is not installed") from error
            raise ConfigError(
                f"imports {name}: there is no {file} in {Path.cwd()} or on PYTHONPATH, and no such package"
            ) from error
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {one_line(error)} ({place.filename}, line {place.lineno})"
            raise ConfigError(f"imports {name} fails: {what}") from error
        other = getattr(found, "__file__", None)
        if file.is_file() and not (other and file.samefile(other)):
            raise ConfigError(f"imports {name}: {file} has the name of another module, {other or name}; rename it")


def own_modules(words: Sequence[str]) -> list[str]:
    """Return what the words of a command, and the configs that they name, list as ``imports``."""
    return [str(name) for value in _given(words, "imports") for name in (value if isinstance(value, list) else [value])]


def own_class(words: Sequence[str], setting: str, base: type) -> Any:
    """Return the subclass of ``base`` that a setting names, or ``base`` if it names none; see ``look_up``."""
    *_, name = [None, *_given(words, setting)]
    return base if name is None else look_up(str(name), base)


def look_up(name: str, base: type | None = None, *methods: str) -> Any:
    """Return a function or class by its full name, of a module that is imported already.

    Args:
        name: as ``my_ideas.MyHead``.
        base: what the class must inherit from.
        methods: that it must have.

    Raises:
        ConfigError: there is none, or it is something else.
    """
    module, _, attribute = name.rpartition(".")
    if module not in sys.modules:
        raise ConfigError(f"{name} is code of your own that is not imported: {way_in(module)}")
    found = getattr(sys.modules[module], attribute, None)
    if not callable(found):
        raise ConfigError(f"{name}: {module} has no such function or class")
    if base and not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{name} must inherit from {base.__module__}.{base.__qualname__}")
    if lacking := [method for method in methods if not hasattr(found, method)]:
        raise ConfigError(f"{name} lacks {', '.join(lacking)}")
    return found


def check_imported(config: Mapping[str, Any], name: str) -> None:
    """Refuse the training config of a file that is called ``name``, if its sources are of modules not imported yet.

    Raises:
        ConfigError: one is; the parser would import it.
    """
    sources = config.get("data", {}).get("sources") if config else None
    for source in sources if isinstance(sources, list) else [sources]:
        path = source if isinstance(source, str) else source.get("class_path") if isinstance(source, Mapping) else None
        module = str(path or "").rpartition(".")[0]
        if module and module.partition(".")[0] != "smart_retail" and module not in sys.modules:
            raise ConfigError(f"{name} was trained with {path}, code that is not imported: {way_in(module)}")


def check_module(made_by: Any, given: str | None, name: str) -> None:
    """Refuse to go on without the module of one's own that a training had.

    Args:
        made_by: what its checkpoint tells.
        given: the module that this command has.
        name: of the checkpoint.

    Raises:
        ConfigError: it had one, and this command has none.
    """
    text = made_by.get("config") if isinstance(made_by, Mapping) else None
    config = parse_yaml(text, f"the training config of {name}") if isinstance(text, str) and not given else None
    if isinstance(config, dict) and isinstance(module := config.get("module"), str):
        imports = config.get("imports") or module.rpartition(".")[0]
        words = "".join(f" --imports {one}" for one in (imports if isinstance(imports, list) else [imports]))
        raise ConfigError(f"{name} was trained with a module of its own: add --module {module}{words}")


def way_in(module: str) -> str:
    """Return how a module of one's own gets known to a command."""
    name = module or "my_ideas"
    return f"add --imports {name}, in the folder with {name.split('.')[0]}.py (in Python, import it first)"


def _given(words: Sequence[str], setting: str) -> Iterator[Any]:
    """Yield the values of a setting from the configs, then from the words."""
    for file in named_files(words):
        try:
            content = read_yaml(file)
        except ConfigError:
            continue  # the parser tells
        if isinstance(content, Mapping) and content.get(setting) is not None:
            yield content[setting]
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name == f"--{setting}" and (value or (following and not equals)):
            yield parse_yaml(value or following, name)
