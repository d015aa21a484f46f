"""How far versions of a line have come: candidate, shadow, champion, retired, and by whose word.

A line is `evidence`, or a segment's own, `evidence/SEGMENT`. Who answers is the registry's pointer and nothing else;
beside the versions lies a record of every change, from which come the other stages and what a rollback returns to.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from trainer.registry import Registry, RegistryError

HISTORY = "stages.json"
Stage = Literal["candidate", "shadow", "champion", "retired"]


@dataclass(frozen=True)
class Change:
    """A version came to a stage. `before` is who answered until then; `at` is RFC 3339."""

    version: str
    stage: Stage
    who: str
    why: str
    at: str
    before: str | None = None


class Stages:
    """The stages of one line. Every change is complete in itself: after a crash in between it is made again."""

    def __init__(self, registry: Registry, line: str) -> None:
        self._registry = registry
        self.line = line

    def history(self) -> list[Change]:
        """Every change, the oldest first.

        Raises:
            RegistryError: its file is broken.
        """
        content = self._registry.read_beside(self.line, HISTORY)
        try:
            return [] if content is None else [Change(**each) for each in json.loads(content)]
        except (ValueError, TypeError):
            raise RegistryError(
                f"{HISTORY} of {self.line} is broken; move it away to begin a new one"
            ) from None

    def of(self) -> dict[str, Stage]:
        """Every version's stage."""
        current = self._registry.current(self.line)
        said = {change.version: change.stage for change in self.history()}
        found: dict[str, Stage] = {}
        for version in self._registry.versions(self.line):
            stage = said.get(version, "candidate")
            found[version] = "champion" if version == current else "retired" if stage == "champion" else stage
        return found

    def promote(self, version: str, who: str, why: str, at: str) -> Change:
        """Let a version answer. Every file of it is checked first.

        Raises:
            RegistryError: there is none, or it is not what its manifest says; who answered before goes on.
        """
        before = self._registry.current(self.line)
        self._registry.load(self.line, version)
        self._registry.make_current(self.line, version)
        return self._note(Change(version, "champion", who, why, at, before))

    def set_aside(
        self, version: str, stage: Literal["shadow", "retired"], who: str, why: str, at: str
    ) -> Change:
        """A version that does not answer: on trial, or not wanted any more. Raises `RegistryError` for the champion."""
        self._registry.manifest(self.line, version)
        if self._registry.current(self.line) == version:
            raise RegistryError(f"{self.line} {version} answers now; promote another or roll back")
        return self._note(Change(version, stage, who, why, at))

    def roll_back(self, who: str, why: str, at: str) -> Change:
        """Let the champion before the present one answer again; where a segment had none, the model of all does.

        Raises:
            RegistryError: there is nothing to return to.
        """
        now = self._registry.current(self.line)
        if now is None:
            raise RegistryError(f"no version of {self.line} answers, so there is none to take back")
        reigns = [each for each in self.history() if each.stage == "champion" and each.version == now]
        before = reigns[-1].before if reigns else None
        if before is not None:
            return self.promote(before, who, why, at)
        if "/" not in self.line:
            raise RegistryError(f"there was no version of {self.line} before {now}")
        self._registry.withdraw(self.line)
        return self._note(Change(now, "retired", who, why, at, now))

    def collect(self, keep: int) -> list[str]:
        """Delete all but the champion, what a rollback returns to, those on trial and the `keep` newest others.

        Returns the versions that were deleted.
        """
        stages = self.of()
        now = self._registry.current(self.line)
        wanted = {each.before for each in self.history() if each.version == now and each.stage == "champion"}
        others = [v for v, stage in stages.items() if stage in ("candidate", "retired") and v not in wanted]
        created = {version: self._registry.manifest(self.line, version).created_at for version in others}
        doomed = sorted(others, key=lambda version: created[version])[: max(0, len(others) - keep)]
        for version in doomed:
            self._registry.remove(self.line, version)
        return doomed

    def _note(self, change: Change) -> Change:
        entries = [asdict(each) for each in (*self.history(), change)]
        self._registry.write_beside(self.line, HISTORY, json.dumps(entries, indent=1).encode())
        return change
