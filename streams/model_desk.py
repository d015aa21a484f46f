"""Where stages of models are changed: one door for evidence and adapters, and every change in the audit topic.

Lines are `evidence`, `evidence/SEGMENT` and `vllm/SEGMENT`. Workers look up evidence in the registry; adapters they
follow on `twins.adapters`, which `ReleaseDesk` writes.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from streams.adapters.desk import ReleaseDesk
from streams.errors import TwinsError, UsageError
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topics import AUDIT
from trainer.registry import Registry, RegistryError
from trainer.stages import Change, Stages
from twin_store.messages import Audit
from twin_store.messages.base import format_instant
from twin_store.messages.codec import headers_for

SOURCE = "/twins/models"
ADAPTERS = "vllm/"
RANK_MAX = 16


class ModelDesk:
    """Changes stages in the name of `who`."""

    def __init__(self, settings: Settings, who: str) -> None:
        self._settings = settings
        self._registry = Registry(settings.models)
        self._who = who

    def promote(self, line: str, version: str, why: str) -> Change:
        """Let a version answer from now on. Raises `TwinsError` if it is not whole; nothing has changed then."""
        with _told():
            if line.startswith(ADAPTERS):
                self._registry.load(line, version)
                self._release(line, version)
            return self._audited(
                Stages(self._registry, line).promote(version, self._who, why, _now()), line, "promote"
            )

    def roll_back(self, line: str, why: str) -> Change:
        """Let the champion before answer again. Raises `TwinsError` if there is none."""
        with _told():
            if line.startswith(ADAPTERS):
                with ReleaseDesk(self._settings) as desk:
                    desk.roll_back(line.removeprefix(ADAPTERS))
            change = Stages(self._registry, line).roll_back(self._who, why, _now())
            return self._audited(change, line, "roll-back")

    def set_aside(self, line: str, version: str, stage: Literal["shadow", "retired"], why: str) -> Change:
        """A version on trial, or retired. Raises `TwinsError` for the champion."""
        with _told():
            change = Stages(self._registry, line).set_aside(version, stage, self._who, why, _now())
            return self._audited(change, line, stage)

    def collect(self, line: str, keep: int, why: str) -> list[str]:
        """Delete old versions; which."""
        with _told():
            doomed = Stages(self._registry, line).collect(keep)
            for version in doomed:
                self._audited(Change(version, "retired", self._who, why, _now()), line, "delete")
            return doomed

    def _release(self, line: str, version: str) -> None:
        from streams.adapters.admission import admitted

        folder = f"{self._settings.models}/{line}/{version}"
        with ReleaseDesk(self._settings) as desk:
            desk.release(line.removeprefix(ADAPTERS), admitted(folder, None, RANK_MAX, "vllm"))

    def _audited(self, change: Change, line: str, action: str) -> Change:
        write_audit(self._settings, line, action, change.who, change.why, change.before, change.version)
        return change


def write_audit(
    settings: Settings,
    subject: str,
    action: str,
    who: str,
    why: str,
    before: str | None = None,
    after: str | None = None,
) -> None:
    """One entry of the audit topic. Raises `TwinsError` if Kafka does not take it."""
    entry = Audit(
        subject=subject, action=action, who=who, why=why, at=datetime.now(UTC), before=before, after=after
    )
    with Publisher(settings) as publisher:
        publisher.publish(AUDIT, subject.encode(), entry.to_wire(), headers_for(entry, SOURCE, entry.at))


def person() -> str:
    """Who sits at this terminal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def must_be_a_line(settings: Settings, line: str) -> None:
    """Raise `UsageError` unless the registry has versions of it."""
    lines = Registry(settings.models).lines()
    if line not in lines:
        raise UsageError(f"there is no line of models {line!r}; there are {', '.join(lines) or 'none yet'}")


@contextmanager
def _told() -> Iterator[None]:
    """Turns the registry's complaints, and storage that is away, into one line for people."""
    try:
        yield
    except RegistryError as error:
        raise TwinsError(str(error)) from error
    except OSError as error:
        raise TwinsError(f"the registry cannot be reached: {error}") from error


def _now() -> str:
    return format_instant(datetime.now(UTC))
