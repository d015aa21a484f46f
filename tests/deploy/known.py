"""The settings that a container may be given."""

from streams.settings import Settings, variable

# The worker's choice of a decider is not among the settings yet.
COMING = {"TWINS_DECIDER", "TWINS_VLLM_MODEL"}
KNOWN_SETTINGS = {variable(name) for name in Settings.model_fields} | COMING
