"""``python -m smart_retail``."""

import sys

from smart_retail.cli import main

sys.exit(main())
