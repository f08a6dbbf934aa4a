"""Makes the app's Python importable, as rendered for GitHub."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
APP = pathlib.Path(os.environ["SNOWFEED_APP"])

sys.path[:0] = [str(APP / "procedures"), str(APP / "page"), str(HERE)]
