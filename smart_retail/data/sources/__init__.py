"""The data sets, one file each: adding one means writing a file with a ``Source`` here.

Whoever reads configs imports this package: then the short name of a class does as its ``class_path``.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
