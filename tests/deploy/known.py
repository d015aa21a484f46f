"""The settings that a container may be given."""

from streams.settings import Settings, variable

KNOWN_SETTINGS = {variable(name) for name in Settings.model_fields}
