"""A profile as of a moment is what the stream had published by then."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.past_profiles import profile_as_of
from streams.settings import Settings
from tests.retail import at, sale, second
from tests.twin_store.lake.feed import Feed, new_writer
from twin_store.messages import CatalogItem


@pytest.fixture
def deployment(offline_settings: Settings, tmp_path: Path) -> Settings:
    """A lake with a customer who buys milk every week, and a catalogue that changes."""
    feed = Feed()
    for week in range(6):
        receipt = sale(7 * week, ["milk"])
        feed.publish("transactions", "c1", json.loads(receipt.to_wire()))
    for day, name in ((0, "Milk"), (20, "Better milk")):
        item = CatalogItem(sku="milk", updated_at=at(day), name=name, section="DAIRY")
        feed.publish("catalog", "milk", json.loads(item.to_wire()))
    feed.drain(new_writer(str(tmp_path / "lake")))
    return offline_settings.model_copy(update={"lake_url": str(tmp_path / "lake")})


def test_only_what_had_happened_is_in_it(deployment: Settings) -> None:
    profile, names = profile_as_of(deployment, "c1", second(16))
    assert profile is not None
    assert profile.events_folded == 3
    assert profile.as_of == datetime(2024, 1, 15, 12, tzinfo=UTC)
    assert [(item.sku, item.purchase_days) for item in profile.dna.regulars] == [("milk", 3)]
    assert [group.category for group in profile.dna.categories] == ["DAIRY"]
    assert names == {"milk": "Milk"}
    later, names = profile_as_of(deployment, "c1", second(100))
    assert later is not None
    assert (later.events_folded, names) == (6, {"milk": "Better milk"})


def test_somebody_who_was_not_known_yet_has_none(deployment: Settings) -> None:
    assert profile_as_of(deployment, "c1", second(0)) == (None, {})
    assert profile_as_of(deployment, "nobody", second(9)) == (None, {})


def test_the_command_shows_it(deployment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_LAKE_URL", deployment.lake_url)
    when = (at(16) + timedelta(hours=1)).isoformat()
    shown = CliRunner().invoke(cli.build(["show"]), ["show", "c1", "--at", when])
    assert shown.exit_code == 0, shown.output
    assert "DAIRY" in shown.output
    raw = CliRunner().invoke(cli.build(["show"]), ["show", "c1", "--at", when, "--json"])
    assert json.loads(raw.output)["events_folded"] == 3
