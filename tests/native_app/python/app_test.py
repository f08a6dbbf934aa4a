"""Corrects Streamlit's AppTest where the version that Snowflake runs is wrong, as later versions do."""

from streamlit.runtime.scriptrunner import ScriptRunnerEvent
from streamlit.testing.v1 import AppTest  # noqa: F401
from streamlit.testing.v1.element_tree import ButtonGroup
from streamlit.testing.v1.local_script_runner import LocalScriptRunner


def indices(group):
    """The positions of the chosen options. Uncorrected, the name of a single choice is a list of its letters."""
    chosen = group.value if isinstance(group.value, (list, tuple)) else [group.value]
    return [group.options.index(group.format_func(one)) for one in chosen if one is not None]


def forgetting(init):
    """A runner forgets what a run has shown when the page starts again within it. Uncorrected, what is gone stays."""

    def made(runner, *arguments, **options):
        init(runner, *arguments, **options)

        def forget(sender, event, **details):
            if event == ScriptRunnerEvent.SCRIPT_STARTED:
                fragments = details.get("fragment_ids_this_run")
                runner.forward_msg_queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=fragments)

        runner.on_event.connect(forget, weak=False)

    return made


ButtonGroup.indices = property(indices)
LocalScriptRunner.__init__ = forgetting(LocalScriptRunner.__init__)
