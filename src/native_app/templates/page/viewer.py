"""The page for viewers: health, runs and the SQL of each table, without any action and without data."""

import layout

layout.show(controls=False)
