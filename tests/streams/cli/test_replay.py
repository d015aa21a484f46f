"""`twins replay` as a person calls it."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl
import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.errors import UsageError
from streams.kafka import read_to_end
from streams.settings import Settings, variable
from streams.sources.complete_journey import CompleteJourney
from streams.sources.complete_journey.tables import find_tables
from streams.topic_admin import apply_topics
from streams.topics import PROMOTIONS, TRANSACTIONS


def replay(*arguments: str) -> dict[str, object]:
    command = ["replay", "complete-journey", *arguments, "--json"]
    done = CliRunner().invoke(cli.build(command), command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def deployment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("kafka_bootstrap", "topic_prefix", "data_dir"):
        monkeypatch.setenv(variable(name), str(getattr(settings, name)))
    apply_topics(settings)
    return settings


@pytest.mark.broker
def test_replay_says_what_it_published_and_which_faults(deployment: Settings) -> None:
    found = replay(
        *("--customers", "10", "--until", "2017-02-01", "--no-promotions"),
        *("--chaos", "duplicates=0.2,out_of_order=0.2,late=2d,poison=0.1,seed=3"),
    )
    households = [int(customer) for customer in CompleteJourney().customers(10)]
    lines = find_tables().scan("transactions").filter(pl.col("household_id").is_in(households))
    january = lines.filter(pl.col("transaction_timestamp") < datetime(2017, 2, 1))
    assert found["lines"] == january.collect().height > 500
    messages, chaos = found["messages"], found["chaos"]
    assert isinstance(messages, dict)
    assert isinstance(chaos, dict)
    assert PROMOTIONS.name not in messages
    faults = chaos["duplicates"] + sum(chaos["poison"].values())
    assert messages[TRANSACTIONS.name] == chaos["records"] + faults
    assert messages[TRANSACTIONS.name] == sum(1 for _ in read_to_end(deployment, TRANSACTIONS))


@pytest.mark.broker
def test_only_the_named_topics_are_filled(deployment: Settings) -> None:
    found = replay("--customers", "900,", "--topics", TRANSACTIONS.name, "--speed", "1e9")
    assert found["messages"] == {TRANSACTIONS.name: 674}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--speed", "fast"], "give `max` or a number"),
        (["--speed", "-1"], "give `max` or a number"),
        (["--from", "March"], "--from March: not a date"),
        (["--topics", "retail.nothing"], "fills only"),
        (["--customers", "nobody"], "no household nobody"),
    ],
)
def test_wrong_options_are_explained(arguments: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replay(*arguments)
