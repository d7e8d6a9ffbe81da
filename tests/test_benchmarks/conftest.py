"""The folder of a benchmark, as its command has it on the path."""

import sys

from tiny import ROOT

sys.path.insert(0, str(ROOT / "benchmarks" / "window_transfer"))
