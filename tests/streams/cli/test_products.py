"""`twins products` as a person calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.errors import TwinsError, UsageError
from streams.settings import Settings, variable
from streams.topic_admin import apply_topics
from tests.streams.catalogue_feed import item, publish, statistics

pytestmark = pytest.mark.broker


def call(*arguments: str) -> str:
    command = ["products", *arguments]
    done = CliRunner().invoke(cli.build(command), command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def call_json(*arguments: str) -> Any:
    return json.loads(call(*arguments, "--json"))


@pytest.fixture
def deployment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("kafka_bootstrap", "topic_prefix", "data_dir"):
        monkeypatch.setenv(variable(name), str(getattr(settings, name)))
    apply_topics(settings)
    publish(
        settings,
        item("1", "Whole milk", section="DAIRY", list_price="2.50", stocked_at=["s1"]),
        item("2", "Skim milk", section="DAIRY"),
        item("3", "Motor oil", section="AUTO", list_price="19.99"),
        statistics("2", 1, "1.50", ["s2"]),
    )
    return settings


def skus(*arguments: str) -> list[str]:
    return [hit["sku"] for hit in call_json("search", *arguments)["products"]]


def test_the_index_is_built_searched_and_shown(deployment: Settings) -> None:
    assert "3 products, 3 distinct texts embedded, 0 removed, 0 rejected" in call("rebuild")
    assert set(skus("milk", "-k", "2")) == {"1", "2"}
    assert skus("milk", "--store", "s1", "--section", "DAIRY", "--min-price", "2", "--max-price", "2.5") == [
        "1"
    ]
    assert "Motor oil" in call("search", "lubricant for a car", "-k", "1").splitlines()[0]
    shown = call_json("show", "2")
    assert (shown["name"], shown["price"], shown["list_price"], shown["stores"]) == (
        "Skim milk",
        "1.50",
        None,
        ["s2"],
    )
    assert [hit["sku"] for hit in shown["similar"]] == ["1", "3"]
    text = call("show", "1")
    assert "Whole milk" in text
    assert "2.50" in text
    with pytest.raises(TwinsError, match="does not have 'nothing'"):
        call("show", "nothing")
    with pytest.raises(UsageError, match="--max-price"):
        call("search", "milk", "--max-price", "cheap")
