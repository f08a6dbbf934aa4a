"""The page for those who only look: how the connector stands, without a button that changes anything, and without data."""

import frame
import tab_state

frame.show({"State": tab_state.show}, controls=False)
