"""The trips that each segment's champion was trained on, from the registry, as long as that champion stands."""

from __future__ import annotations

import logging

from streams.settings import Settings
from trainer.drift import snapshot
from trainer.drift.visits import Visits
from trainer.fitted import DECIDER
from trainer.registry import Registry

_log = logging.getLogger(__name__)


class Baselines:
    """Looked up whenever a window closes: seldom."""

    def __init__(self, settings: Settings) -> None:
        self._registry = Registry(settings.models)
        self._known: dict[tuple[str, str], dict[str, Visits]] = {}

    def of(self, segment: str) -> Visits | None:
        """Of the segment's own model, else of that of all; None without one, or where it cannot be read now."""
        try:
            for line in (f"{DECIDER}/{segment}", DECIDER):
                version = self._registry.current(line)
                if version is not None:
                    return self._snapshots(line, version).get(segment)
        except Exception:  # storage may be away: the window is then judged without
            _log.exception("the snapshot of %s cannot be read", segment)
        return None

    def _snapshots(self, line: str, version: str) -> dict[str, Visits]:
        if (line, version) not in self._known:
            content = self._registry.load(line, version)[1].get(snapshot.FILE)
            self._known[line, version] = {} if content is None else snapshot.from_bytes(content)
        return self._known[line, version]
