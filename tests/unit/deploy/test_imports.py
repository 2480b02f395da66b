"""The direction of the data holds: deploy knows nothing of the training loop."""

from __future__ import annotations

import subprocess
import sys


def test_deploy_never_imports_lightning() -> None:
    code = (
        "import importlib, pkgutil, sys, smart_retail.deploy as d\n"
        "for m in pkgutil.iter_modules(d.__path__): importlib.import_module(f'smart_retail.deploy.{m.name}')\n"
        "assert 'torch' in sys.modules and not {'lightning', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
