"""`twins lake`: what it holds and how far it is, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.errors import TwinsError
from tests.twin_store.lake.feed import Feed, new_writer, receipt


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """A lake of several small files, where the settings say it is."""
    monkeypatch.setenv("TWINS_LAKE_URL", str(tmp_path / "lake"))
    feed = Feed()
    for number in range(3):
        feed.publish("transactions", "ada", receipt(number, "ada"))
        feed.publish("transactions", "ada", b"{broken")
        feed.drain(new_writer(str(tmp_path / "lake")))
    return feed


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli.build(["lake"]), ["lake", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_status_counts_rows_files_and_offsets(lake: Feed) -> None:
    found = json.loads(run("status", "--json"))
    (topic, partition), records = next(iter(lake.records.items()))
    assert found["partitions"] == [
        {"topic": topic, "partition": partition, "next_offset": len(records), "skipped": 3, "dropped": 0}
    ]
    (table,) = found["tables"]
    assert (table["table"], table["rows"], table["files"]) == ("transactions", 3, 3)
    assert (table["first_day"], table["last_day"]) == ("2024-05-01", "2024-05-01")
    text = run("status")
    assert "3 rows" in text
    assert f"{topic}[{partition}] up to offset 6  3 no valid message" in text


def test_compact_says_what_it_did(lake: Feed) -> None:
    found = json.loads(run("compact", "--json"))
    assert (found["generation"], found["files_before"], found["files_after"]) == (1, 3, 1)
    assert run("compact").startswith("generation 1: 1 files are now 1;")


def test_an_empty_lake_has_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_LAKE_URL", str(tmp_path / "nothing"))
    assert json.loads(run("status", "--json"))["tables"] == []
    assert not (tmp_path / "nothing").exists()


def test_an_unknown_place_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_LAKE_URL", "nosuch://bucket")
    with pytest.raises(TwinsError, match="TWINS_LAKE_URL"):
        run("status")
