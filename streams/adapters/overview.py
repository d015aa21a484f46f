"""What serves each segment, and what the workers say of it: for `twins adapters list`."""

from __future__ import annotations

from typing import Any

from streams.adapters.releases import read_releases
from streams.adapters.reports import States, read_states
from streams.settings import Settings
from twin_store.messages import AdapterRelease
from twin_store.messages.base import format_instant


def list_releases(settings: Settings) -> list[dict[str, Any]]:
    """One row a segment, in the order of the alphabet. Raises `KafkaReadError`."""
    states = read_states(settings)
    releases = read_releases(settings).by_segment
    return [describe(releases[segment], states) for segment in sorted(releases)]


def describe(release: AdapterRelease, states: States) -> dict[str, Any]:
    """A release as plain values; of each version in it the workers that have it, and why others have not."""
    row: dict[str, Any] = {
        "segment": release.segment,
        "number": release.number,
        "released_at": format_instant(release.released_at),
        "pinned": release.pinned,
        "champion": release.decider_version,
        "previous": release.previous.decider_version if release.previous else None,
        "challenger": None,
    }
    versions = {"champion": release.champion, "previous": release.previous, "challenger": release.challenger}
    if release.challenger is not None:
        row["challenger"] = {
            "version": release.challenger.decider_version,
            "mode": release.challenger.mode,
            "share": release.challenger.share,
        }
    row["workers"] = [
        {
            "worker": state.worker,
            "version": state.decider_version,
            "as": role,
            "status": state.status,
            "reason": state.reason,
            "detail": state.detail,
        }
        for role, version in versions.items()
        if version is not None
        for state in states.get((release.segment, version.decider_version), [])
    ]
    return row
