"""Makes the modules of `tests/origins` importable."""

import pathlib
import sys

ORIGINS = pathlib.Path(__file__).parents[3] / "tests" / "origins"
sys.path.append(str(ORIGINS))
