"""The scripts of benchmarks/ are no package: they are imported as when one of them runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
