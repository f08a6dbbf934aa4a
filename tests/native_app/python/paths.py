"""Where the app's Python is, as it is rendered for GitHub, and how it is imported."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
APP = pathlib.Path(os.environ["SNOWFEED_APP"])

sys.path[:0] = [str(APP / "procedures"), str(APP / "page"), str(HERE)]
