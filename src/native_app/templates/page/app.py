"""The app's page, for those who configure it: whoever may open a page may press its buttons, with the app's rights."""

import consent
import frame
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

frame.show(TABS, controls=True, before=consent.ask_for_privileges)
