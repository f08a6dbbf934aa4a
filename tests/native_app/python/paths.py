"""Makes the app's Python importable, as rendered for GitHub."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
APP = pathlib.Path(os.environ["SNOWFEED_APP"])

sys.path[:0] = [str(APP / "procedures"), str(APP / "page"), str(HERE)]

# The cases of health, with the answers of the connector's program.
HEALTH_CASES = HERE.parents[2] / "src/engine/health/cases.json"
