"""What `streamlit run` starts: the page, in an account of the tests."""

import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import stage  # noqa: E402

runpy.run_path(str(stage.conftest.APP / "page/app.py"), run_name="__main__")
