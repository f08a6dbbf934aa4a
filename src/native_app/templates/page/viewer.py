"""The page for viewers: the connector's status, without any action and without data."""

import layout
import tab_state

layout.show({"State": tab_state.show}, controls=False)
