"""The app's page for administrators. Everyone who may open a page may press its buttons, with the app's rights."""

import layout

layout.show(controls=True)
