"""One question, answered from the live twin or as of a moment from the lake: by the same decider."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streams import lake_writer
from streams.answer_view import answer_view
from streams.asking import Answer, Asked, ask, by_evidence
from streams.cli import main as cli
from streams.errors import UsageError
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, PRODUCTS, PROMOTIONS, TRANSACTIONS
from streams.updater import process
from streams.verify import verify
from tests.retail import at, sale, second
from tests.streams.models import publish_model
from tests.streams.running import eventually, running
from twin_store.messages import CatalogItem, ProductStatistics, Promotion
from twin_store.messages.codec import decode

pytestmark = pytest.mark.broker

WEEKS = 8


@pytest.fixture(scope="module")
def shop(broker: object, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A customer who buys milk every week, in a shop with a display and a campaign, and others beside her."""
    folder = tmp_path_factory.mktemp("shop")
    settings = Settings(
        kafka_bootstrap=broker.bootstrap,  # type: ignore[attr-defined]
        topic_prefix=f"ask{folder.name[-1]}.",
        data_dir=folder,
        partitions=2,
        lake_flush_s=0.2,
    )
    apply_topics(settings)
    publish_model(settings)
    with running(lambda stop: process.run(settings, stop), lambda stop: lake_writer.run(settings, stop)):
        with Publisher(settings) as publisher:
            for sku in ("milk", "bread", "wine"):
                item = CatalogItem(sku=sku, updated_at=at(0), name=sku.title(), section="FOOD")
                publisher.publish(CATALOG, sku.encode(), item.to_wire())
            for body in _promotions():
                publisher.publish(PROMOTIONS, body.promotion_id.encode(), body.to_wire())
            for week in range(WEEKS):
                for customer in ("c1", "c2", "c3", "c4"):
                    receipt = sale(7 * week, ["milk" if customer == "c1" else "bread"], customer)
                    publisher.publish(TRANSACTIONS, customer.encode(), receipt.to_wire())
        eventually(lambda: verify(settings).total == 4, "all twins to be in the lake")
        eventually(lambda: _weeks_of_milk(settings) == WEEKS, "the statistics of the products")
    return settings


def _weeks_of_milk(settings: Settings) -> int:
    newest = {message.key(): message.value() for message in read_to_end(settings, PRODUCTS)}
    return len(decode(ProductStatistics, newest[b"milk"]).weeks) if b"milk" in newest else 0


def _promotions() -> list[Promotion]:
    bodies = [
        {"promotion_id": "d1", "kind": "display", "starts_at": at(40), "ends_at": at(60), "store_id": "s1"},
        {
            "promotion_id": "k1",
            "kind": "campaign",
            "starts_at": at(40),
            "ends_at": at(70),
            "campaign_id": "k1",
        },
        {
            "promotion_id": "k1-a",
            "kind": "coupon",
            "starts_at": at(40),
            "ends_at": at(70),
            "campaign_id": "k1",
        },
    ]
    items = {"d1": ["milk"], "k1-a": ["milk", "wine"]}
    return [
        Promotion.model_validate(
            body | {"items": [{"sku": sku} for sku in items.get(str(body["promotion_id"]), [])]}
        )
        for body in bodies
    ]


@contextmanager
def deployed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line in this deployment."""
    for name in ("kafka_bootstrap", "topic_prefix", "data_dir", "partitions"):
        monkeypatch.setenv(f"TWINS_{name.upper()}", str(getattr(settings, name)))
    yield


def test_what_she_buys_is_likelier_than_what_she_does_not(shop: Settings) -> None:
    answer = ask(shop, Asked("c1", skus=["milk", "wine"]))
    assert answer.choice == "milk"
    assert answer.probabilities[0] > answer.probabilities[1]
    assert (answer.store_id, answer.options) == ("s1", ["milk", "wine"])
    assert answer.as_of == answer.twin_as_of == "2024-02-19T12:00:00Z"
    assert answer.evidence[0]["item_days"] == WEEKS
    assert answer.evidence[0]["display"] == 1
    assert answer.evidence[1]["display"] == 0
    assert not answer.foresees


def test_the_past_is_answered_from_what_was_known_then(shop: Settings) -> None:
    then = ask(shop, Asked("c1", skus=["milk"], at=second(20)))
    assert then.twin_as_of == "2024-01-15T12:00:00Z"
    assert then.evidence[0]["item_days"] == 3
    assert then.evidence[0]["display"] == 0
    now = ask(shop, Asked("c1", skus=["milk"]))
    again = ask(shop, Asked("c1", skus=["milk"], at=second(49.5)))
    assert again.twin_hash == now.twin_hash
    assert again.probabilities == pytest.approx(now.probabilities, abs=0.02)
    assert {k: v for k, v in again.evidence[0].items() if k.startswith("item_")} == {
        k: v for k, v in now.evidence[0].items() if k.startswith("item_")
    }


@pytest.mark.parametrize("moment", [None, 50.0])
def test_every_kind_is_answered(shop: Settings, moment: float | None) -> None:
    when = None if moment is None else second(moment)

    def answered(asked: Asked) -> Answer:
        answer = ask(shop, asked)
        assert len(answer.probabilities) == len(answer.options) == len(answer.evidence)
        return answer

    answered(Asked("c1", "promotion_response", skus=["milk"], at=when))
    completed = answered(
        Asked("c1", "basket_completion", skus=["milk", "wine"], baskets=[["bread"]], at=when)
    )
    assert sum(completed.probabilities) == pytest.approx(1)
    chosen = answered(Asked("c1", "trip_choice", baskets=[["milk"], ["wine", "bread"]], at=when))
    assert chosen.choice == "0"
    voucher = answered(Asked("c1", "voucher_redemption", campaign_id="k1", at=when))
    assert voucher.evidence[0]["voucher_days"] >= 1


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (Asked("c1"), "--sku"),
        (Asked("c1", "basket_completion", skus=["milk"]), "--basket"),
        (Asked("c1", "trip_choice", baskets=[["milk"]]), "between baskets"),
        (Asked("c1", "voucher_redemption"), "--campaign"),
        (Asked("nobody", skus=["milk"]), "no customer 'nobody'"),
        (Asked("c1", skus=["milk"], at=second(0)), "nothing was known"),
        (Asked("c1", "voucher_redemption", campaign_id="k9"), "no campaign 'k9'"),
        (Asked("c1", "voucher_redemption", campaign_id="k9", at=second(50)), "no campaign 'k9'"),
    ],
)
def test_what_cannot_be_answered_says_why(shop: Settings, asked: Asked, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        ask(shop, asked)


def test_an_answer_says_how_sure_it_is_and_when_it_would_rather_not_speak(shop: Settings) -> None:
    early, now = ask(shop, Asked("c1", skus=["milk"], at=second(8))), ask(shop, Asked("c1", skus=["milk"]))
    for answer in (early, now):
        ((low, high),) = answer.intervals
        assert low <= answer.probabilities[0] <= high
    assert early.abstains == "thin evidence: 2 shopping days in the last 53 weeks, fewer than 3"
    assert now.abstains is None
    shown = Console(width=200, file=io.StringIO(), force_terminal=False)
    shown.print(answer_view(early))
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert f"It would rather not answer: {early.abstains}." in text
    assert f"{early.intervals[0][0]:.1%} to {early.intervals[0][1]:.1%}" in text


def test_without_a_model_it_is_said_how_to_get_one(shop: Settings, tmp_path: object) -> None:
    with pytest.raises(UsageError, match="twins train evidence"):
        ask(shop.model_copy(update={"models_url": str(tmp_path)}), Asked("c1", skus=["milk"]))


def test_evidence_in_anothers_stead_says_so(shop: Settings) -> None:
    why = "the language model is away: it does not start"
    answer = ask(shop, Asked("c1", skus=["milk"]), answerer=partial(by_evidence, shop, lacks=why))
    assert (answer.decider, answer.degraded) == ("evidence", why)
    assert answer.probabilities == ask(shop, Asked("c1", skus=["milk"])).probabilities
    shown = Console(width=200, file=io.StringIO(), force_terminal=False)
    shown.print(answer_view(answer))
    assert f"Less than it could be: {why}." in shown.file.getvalue()  # type: ignore[attr-defined]
    survey = Asked("c1", "survey", statement="Fair prices.", scale=["no", "yes"])
    with pytest.raises(UsageError, match=f"{why}; a survey is not answered from numbers"):
        ask(shop, survey, answerer=partial(by_evidence, shop, lacks=why))


def test_the_command_answers_and_explains(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with deployed(shop, monkeypatch):
        runner = CliRunner()
        shown = runner.invoke(cli.build(["ask"]), ["ask", "c1", "--sku", "milk", "--sku", "wine"])
        raw = runner.invoke(
            cli.build(["ask"]), ["ask", "c1", "--campaign", "k1", "--at", "2024-02-20T00:00Z", "--json"]
        )
    assert shown.exit_code == 0, shown.output
    for expected in (
        "customer c1",
        "Milk",
        "evidence on milk",
        "item_due",
        "days since she last bought the item",
    ):
        assert expected in shown.output
    assert json.loads(raw.output)["kind"] == "voucher_redemption"
    assert json.loads(raw.output)["as_of"] == datetime(2024, 2, 20, tzinfo=UTC).isoformat().replace(
        "+00:00", "Z"
    )
