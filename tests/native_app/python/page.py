"""The script for `streamlit run`: the page, in a test account."""

import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import paths  # noqa: E402
import stage  # noqa: E402

stage.current()
file = "viewer.py" if stage.st.session_state["viewer"] else "app.py"
runpy.run_path(str(paths.APP / "page" / file), run_name="__main__")
