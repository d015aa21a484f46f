"""`twins ingest` as a person calls it: what is published, and what happens to rows that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.dead_letters import Selection, origin_of, payload_of, read_letters
from streams.kafka import read_to_end
from streams.settings import Settings, variable
from streams.sources.ingest.rejects import IngestError
from streams.topic_admin import apply_topics
from streams.topics import DEAD_LETTERS, TRANSACTIONS

MAPPING = """
[receipt]
customer_id = "who"
occurred_at = "at"
[line]
sku = "sku"
quantity = "n"
"""
ROWS = "who,at,sku,n\na,2024-05-01,x,1\nb,never,x,many\nc,2024-05-01,x,2\n"


@pytest.fixture
def sales(tmp_path: Path) -> list[str]:
    """Arguments that name a file with one wrong row in three."""
    (tmp_path / "sales.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "sales.toml").write_text(MAPPING, encoding="utf-8")
    return [str(tmp_path / "sales.csv"), "--mapping", str(tmp_path / "sales.toml")]


@pytest.fixture
def deployment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("kafka_bootstrap", "topic_prefix", "data_dir"):
        monkeypatch.setenv(variable(name), str(getattr(settings, name)))
    apply_topics(settings)
    return settings


def ingest(*arguments: str) -> dict[str, Any]:
    command = ["ingest", *arguments, "--json"]
    done = CliRunner().invoke(cli.build(command), command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.broker
def test_nothing_is_published_when_a_row_is_wrong(deployment: Settings, sales: list[str]) -> None:
    with pytest.raises(IngestError) as caught:
        ingest(*sales, "--errors", "1")
    assert "1 rows cannot be used; nothing was published" in str(caught.value)
    assert "row 3, column at: 'never'" in str(caught.value)
    assert "and 1 more" in str(caught.value)
    assert list(read_to_end(deployment, TRANSACTIONS)) == []
    rejects = (deployment.data_dir / "rejects" / "sales.csv.ndjson").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["column"] for line in rejects] == ["at", "n"]
    assert list(deployment.data_dir.glob("ingest-*")) == []


@pytest.mark.broker
def test_wrong_rows_are_left_out_on_request(deployment: Settings, sales: list[str]) -> None:
    found = ingest(*sales, "--on-error", "skip")
    assert found["published"] == {TRANSACTIONS.name: 2}
    assert (found["rows"], found["rejected_rows"], len(found["errors"])) == (3, 1, 2)
    assert sorted(message.key() or b"" for message in read_to_end(deployment, TRANSACTIONS)) == [b"a", b"c"]


@pytest.mark.broker
def test_wrong_rows_are_lettered_on_request(deployment: Settings, sales: list[str]) -> None:
    found = ingest(*sales, "--on-error", "dead-letter")
    assert found["published"] == {DEAD_LETTERS.name: 1, TRANSACTIONS.name: 2}
    (letter,) = read_letters(deployment, Selection())
    assert origin_of(letter) == "ingest:sales.csv/0/3"
    assert (letter.stage, letter.place) == ("ingest", "at")
    assert json.loads(payload_of(letter) or b"") == {"who": "b", "at": "never", "sku": "x", "n": "many"}


def test_a_dry_run_needs_no_kafka(sales: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("data_dir"), str(tmp_path / "data"))
    found = ingest(*sales, "--dry-run", "--rejects", str(tmp_path / "wrong.ndjson"))
    assert [message["key"] for message in found["first"]] == ["a", "c"]
    assert found["published"] == {}
    assert (tmp_path / "wrong.ndjson").exists()
