"""The app's page for administrators. Everyone who may open a page may press its buttons, with the app's rights."""

import grants
import layout
import tab_configuration
import tab_preview
import tab_resources
import tab_state

TABS = {
    "Configuration": tab_configuration.show,
    "Resources": tab_resources.show,
    "State": tab_state.show,
    "Data preview": tab_preview.show,
    "Raw data preview": tab_preview.show_raw,
}

layout.show(TABS, controls=True, before=grants.request_privileges)
