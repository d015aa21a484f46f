"""Moves between segments: each once, whatever the batches, crashes and restarts; the last says where she is."""

from __future__ import annotations

import json

import pytest

from streams.settings import Settings
from streams.topics import ERASURE, SEGMENT_MOVES, TRANSACTIONS
from tests.retail import sale
from tests.streams.updater.deployment import Deployment
from tests.streams.updater.messages import erasure
from twin_store.segments import load_definitions, segment_of

DAYS = {
    "often": range(0, 200, 3),
    "seldom": [*range(0, 84, 3), *range(84, 330, 45)],
    "new": range(190, 199, 3),
}


def town(settings: Settings, seed: int = 0) -> Deployment:
    deployment = Deployment(settings, seed)
    for day in range(330):
        for name, days in DAYS.items():
            if day in days:
                deployment.publish(TRANSACTIONS, name, sale(day, ["milk", "bread"], name))
    return deployment


def moves(deployment: Deployment) -> list[tuple[str, str, str, str]]:
    bodies = [json.loads(record.value) for record in deployment.records(SEGMENT_MOVES) if record.value]
    return [(b["customer_id"], b["from_segment"], b["to_segment"], b["moved_at"]) for b in bodies]


@pytest.mark.parametrize("seed", range(3))
def test_each_move_is_raised_once_through_faults(offline_settings: Settings, seed: int) -> None:
    deployment = town(offline_settings, seed)
    deployment.drain_through_faults()
    found = moves(deployment)
    assert len(set(found)) == len(found)
    assert {(name, to) for name, _, to, _ in found} >= {
        ("often", "everyday-shoppers"),
        ("seldom", "occasional"),
    }
    assert not [move for move in found if move[0] == "new"], "she is in the fallback, where everybody begins"


def test_the_last_move_says_where_she_is(offline_settings: Settings) -> None:
    deployment = town(offline_settings)
    deployment.drain()
    newest = deployment.newest(SEGMENT_MOVES)
    for name in ("often", "seldom"):
        state = next(s for s in deployment.updater._partitions.values() if s.twins.get(name).twin.last_second)
        twin = state.twins.get(name).twin
        assert newest[name]["to_segment"] == segment_of(twin, twin.last_second, load_definitions())


def test_who_is_erased_has_no_move_left(offline_settings: Settings) -> None:
    deployment = town(offline_settings)
    deployment.drain()
    deployment.publish(ERASURE, "often", erasure("often", 400))
    deployment.drain()
    assert "often" not in deployment.newest(SEGMENT_MOVES)
