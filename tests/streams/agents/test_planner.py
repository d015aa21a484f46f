"""The planner's policy, event by event: what is asked, about what, as of when, and what is not."""

from __future__ import annotations

import ast

import pytest

from streams.agents import carts
from streams.agents.carts import CART_ITEMS_MAX
from streams.agents.ledger import Ledger
from streams.agents.planner import Plan, Planner, Rules
from streams.agents.requests import check
from streams.agents.trips import DUE_MAX, EXPLORE_MAX, PROMOTED_MAX
from streams.environment import Environment
from tests.streams.agents.people import (
    alike,
    ask,
    at,
    campaign_in,
    catalogue,
    click,
    profile,
    promotion,
    seconds,
)
from tests.test_tidy import ROOT, impurities
from twin_store.messages import Query, QuestionKind, Request, Subject
from twin_store.messages.codec import BadMessage

NOW = at(1_000)
DUE = {"milk": 1.2, "bread": 0.8, "tea": 0.79, "rum": 2.0}


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def planner(environment: Environment) -> Planner:
    return Planner(Rules(budget_per_day=20, cooldown_s=86_400, deadline_s=300), environment)


def only(plan: Plan) -> Query:
    assert plan.refusals == []
    assert len(plan.queries) == 1
    return plan.queries[0]


def test_due_items_are_asked_about_the_most_overdue_first(planner: Planner) -> None:
    query = only(planner.on_profile(Ledger(), profile(0, due=DUE), {}, NOW))
    assert (query.kind, query.raised_by, query.customer_id) == ("purchase", "due_item", "anna")
    assert query.subject.candidates == ["rum", "milk", "bread"]
    assert (query.as_of, query.raised_at) == (at(0), NOW)
    assert (query.deadline - NOW).total_seconds() == 300
    assert (query.settlement.by, query.settlement.until) == ("next_trip", at(14))
    assert query.environment.store_id == "1"
    assert [(o.topic, o.partition, o.offset) for o in query.twin_position] == [("receipts", 1, 7)]


def test_at_most_five_due_items_are_asked_about(planner: Planner) -> None:
    due = {f"sku{i}": 1.0 + i / 10 for i in range(12)}
    assert only(planner.on_profile(Ledger(), profile(0, due=due), {}, NOW)).subject.candidates == [
        f"sku{i}" for i in range(11, 11 - DUE_MAX, -1)
    ]


def test_nothing_due_nothing_asked(planner: Planner) -> None:
    assert planner.on_profile(Ledger(), profile(0, due={"milk": 0.5}), {}, NOW) == Plan()


def test_products_like_the_due_ones_are_explored(planner: Planner) -> None:
    neighbours = alike(milk=["curd", "tea", "cream", "whey"], rum=["gin", "curd", "ale"])
    query = only(planner.on_profile(Ledger(), profile(0, due=DUE), neighbours, NOW))
    # Tea is a regular item; of curd's two similarities the greater counts; equals come by name.
    assert query.subject.candidates == ["rum", "milk", "bread", "curd", "gin", "ale"]
    assert [product.sku for product in query.environment.products] == ["curd", "gin", "ale"]
    assert len(query.subject.candidates) == 3 + EXPLORE_MAX


def test_the_same_products_rest_and_others_are_explored_in_their_place(planner: Planner) -> None:
    ledger = Ledger()
    neighbours = alike(rum=["gin", "ale", "beer", "cider", "wine"])
    planner.on_profile(ledger, profile(0, due=DUE), neighbours, NOW)
    soon = planner.on_profile(ledger, profile(0.9, due=DUE), neighbours, NOW)
    assert (soon.queries, soon.refusals) == ([], ["cooling_down"])
    one_more = planner.on_profile(ledger, profile(0.95, due=DUE | {"soap": 0.9}), neighbours, NOW)
    assert only(one_more).subject.candidates == ["soap", "cider", "wine"]
    later = planner.on_profile(ledger, profile(1.0, due=DUE), neighbours, NOW)
    assert only(later).subject.candidates == ["rum", "milk", "bread", "gin", "ale", "beer"]


def test_a_profile_without_a_new_trip_raises_nothing(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due={"milk": 1.0}), {}, NOW)
    clicked_later = profile(5, due=DUE, last_receipt=0)
    assert planner.on_profile(ledger, clicked_later, {}, NOW) == Plan()
    assert ledger.as_of == seconds(5)


def test_a_due_item_on_display_says_so(planner: Planner, environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", ["milk"], store_id="1"))
    query = planner.on_profile(Ledger(), profile(1, due=DUE), {}, NOW).queries[0]
    assert [(c.sku, c.display) for c in query.environment.context] == [
        ("rum", False),
        ("milk", True),
        ("bread", False),
    ]


def test_promoted_regulars_come_before_promoted_favourites(
    planner: Planner, environment: Environment
) -> None:
    catalogue(environment, {"DAIRY": ["milk", "curd", "whey"], "TEA": ["assam", "oolong"], "WINE": ["port"]})
    environment.put_promotion(
        promotion("m", "mailer", ["curd", "whey", "assam", "port", "tea"], store_id="1")
    )
    environment.put_promotion(promotion("d", "display", ["oolong"], store_id="2"))
    shopper = profile(1, due={"tea": 0.1, "milk": 0.2}, sections=["DAIRY", "TEA"])
    query = only(planner.on_profile(Ledger(), shopper, {}, NOW))
    assert (query.kind, query.raised_by) == ("promotion_response", "campaign")
    assert query.subject.candidates == ["tea", "curd", "assam", "whey"]
    assert all(c.mailer and not c.display for c in query.environment.context)
    assert query.settlement.by == "next_trip"


def test_of_many_promotions_a_few_are_asked_about(planner: Planner, environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", [f"sku{i}" for i in range(9)]))
    shopper = profile(1, due={f"sku{i}": 0.1 for i in range(9)})
    assert len(only(planner.on_profile(Ledger(), shopper, {}, NOW)).subject.candidates) == PROMOTED_MAX


def test_a_campaign_is_put_as_of_its_start(planner: Planner, environment: Environment) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0), {}, NOW)
    campaign = campaign_in(environment, days=(3, 33))
    query = only(planner.on_campaign(ledger, "anna", campaign, NOW))
    assert (query.kind, query.raised_by) == ("voucher_redemption", "campaign")
    assert (query.as_of, query.settlement.by, query.settlement.until) == (at(3), "until", at(33))
    assert query.subject.campaign_id == "c8"
    assert query.subject.voucher_skus == ["bread", "milk"]
    assert planner.on_campaign(ledger, "anna", campaign, NOW) == Plan()
    assert planner.on_profile(ledger, profile(4), {}, NOW) == Plan()


def test_an_open_campaign_finds_whoever_comes_later(planner: Planner, environment: Environment) -> None:
    campaign_in(environment, days=(3, 33), audience=["anna"])
    assert only(planner.on_profile(Ledger(), profile(4, first_seen=2), {}, NOW)).as_of == at(3)
    assert planner.on_profile(Ledger(), profile(4, "bob"), {}, NOW) == Plan()


def test_a_campaign_does_not_ask_who_was_no_customer_when_it_opened(
    planner: Planner, environment: Environment
) -> None:
    campaign = campaign_in(environment, days=(3, 33))
    ledger = Ledger()
    assert planner.on_profile(ledger, profile(4, first_seen=3.5), {}, NOW) == Plan()
    assert planner.on_campaign(ledger, "anna", campaign, NOW) == Plan()
    assert planner.on_campaign(Ledger(), "nobody", campaign, NOW) == Plan()


def test_a_campaign_without_vouchers_asks_nothing(planner: Planner, environment: Environment) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0), {}, NOW)
    assert planner.on_campaign(ledger, "anna", campaign_in(environment, vouchers=[]), NOW) == Plan()


def test_a_cart_of_two_is_asked_what_completes_it(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due={"milk": 0.1, "bread": 0.1}), {}, NOW)
    neighbours = alike(tea=["assam", "milk"], cake=["pie", "tea"])
    assert planner.on_click(ledger, click(1, "tea"), neighbours, NOW) == Plan()
    query = only(planner.on_click(ledger, click(1.01, "cake"), neighbours, NOW))
    assert (query.kind, query.raised_by, query.as_of) == ("basket_completion", "open_basket", at(1.01))
    assert query.subject.partial_basket == ["tea", "cake"]
    assert query.subject.candidates == ["milk", "bread", "assam", "pie"]
    assert query.priority > planner.on_profile(ledger, profile(3, due=DUE), {}, NOW).queries[0].priority


def test_the_same_cart_is_asked_about_once(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due={"milk": 0.1, "bread": 0.1}), {}, NOW)
    planner.on_click(ledger, click(1.00, "tea"), {}, NOW)
    first = only(planner.on_click(ledger, click(1.01, "cake"), {}, NOW))
    assert planner.on_click(ledger, click(1.02, "cake"), {}, NOW) == Plan()
    assert planner.on_click(ledger, click(1.03, "tea", "remove_from_cart"), {}, NOW) == Plan()
    assert planner.on_click(ledger, click(1.04, "tea"), {}, NOW).refusals == ["cooling_down"]
    other = only(planner.on_click(ledger, click(1.05, "rum"), {}, NOW))
    assert other.subject.partial_basket == ["cake", "tea", "rum"]
    assert other.query_id != first.query_id


def test_a_cart_ends_with_the_session_or_the_purchase(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due={"milk": 0.1, "bread": 0.1}), {}, NOW)
    planner.on_click(ledger, click(1.00, "tea"), {}, NOW)
    planner.on_click(ledger, click(1.01, None, "checkout_start"), {}, NOW)
    assert planner.on_click(ledger, click(1.02, "cake"), {}, NOW) == Plan()
    assert planner.on_click(ledger, click(1.03, "rum", session_id="s2"), {}, NOW) == Plan()
    assert planner.on_click(ledger, click(1.04, "rum", "view"), {}, NOW) == Plan()
    assert {session: cart.skus for session, cart in ledger.carts.items()} == {"s1": ["cake"], "s2": ["rum"]}


def test_nothing_to_choose_from_nothing_asked(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due={"milk": 0.1}), {}, NOW)
    planner.on_click(ledger, click(1.00, "tea"), {}, NOW)
    assert planner.on_click(ledger, click(1.01, "cake"), {}, NOW) == Plan()


def test_a_cart_holds_so_many_items() -> None:
    ledger = Ledger()
    for i in range(CART_ITEMS_MAX + 5):
        carts.touch(ledger, click(1, f"sku{i}"))
    assert len(ledger.carts["s1"].skus) == CART_ITEMS_MAX


def test_a_request_is_answered_without_a_cool_down(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due={"milk": 1.0}), {}, NOW)
    query = only(planner.on_ask(ledger, ask(0.1, candidates=["milk"]), alike(milk=["curd", "whey"]), NOW))
    assert (query.request_id, query.raised_by, query.as_of) == ("r1", "request", at(0.1))
    assert [product.sku for product in query.environment.products] == ["curd", "whey"]
    assert planner.on_ask(ledger, ask(0.1), {}, NOW) == Plan()  # dealt out twice
    assert only(planner.on_ask(ledger, ask(0.1, "r2"), {}, NOW)).request_id == "r2"


def test_a_request_may_ask_about_an_earlier_moment(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(0), {}, NOW)
    query = only(planner.on_ask(ledger, ask(5, as_of=at(-3)), {}, NOW))
    assert (query.as_of, query.settlement.until) == (at(-3), at(11))
    assert ledger.spent_on(seconds(5)) == 1


def test_a_voucher_request_takes_its_vouchers_from_the_campaign(
    planner: Planner, environment: Environment
) -> None:
    campaign_in(environment)
    ledger = Ledger()
    planner.on_profile(ledger, profile(-1), {}, NOW)
    request = ask(1).model_copy(update={"kind": "voucher_redemption", "subject": Subject(campaign_id="c8")})
    query = only(planner.on_ask(ledger, request, {}, NOW))
    assert query.subject.voucher_skus == ["bread", "milk"]
    assert (query.settlement.by, query.settlement.until) == ("until", at(30))


def test_a_trip_choice_says_what_surrounds_each_basket(planner: Planner, environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", ["rum"]))
    ledger = Ledger()
    planner.on_profile(ledger, profile(0), {}, NOW)
    subject = Subject(baskets=[["milk", "tea"], ["milk", "rum"]])
    query = only(
        planner.on_ask(ledger, ask(1).model_copy(update={"kind": "trip_choice", "subject": subject}), {}, NOW)
    )
    assert [(c.sku, c.display) for c in query.environment.context] == [
        ("milk", False),
        ("tea", False),
        ("rum", True),
    ]


@pytest.mark.parametrize(
    ("kind", "subject", "place"),
    [
        ("purchase", Subject(), "subject.candidates"),
        ("trip_choice", Subject(baskets=[["milk"]]), "subject.baskets"),
        ("voucher_redemption", Subject(), "subject.campaign_id"),
        ("survey", Subject(scale=["no", "yes"]), "subject.statement"),
        ("survey", Subject(statement="Prices are fair.", scale=["yes"]), "subject.scale"),
        ("survey", Subject(statement="Prices are fair.", scale=["yes", "no", "yes"]), "subject.scale"),
        ("review", Subject(candidates=["milk", "tea"]), "subject.candidates"),
    ],
)
def test_a_request_that_lacks_what_its_kind_needs_names_the_place(
    environment: Environment, kind: QuestionKind, subject: Subject, place: str
) -> None:
    request = Request(request_id="r1", kind=kind, requested_at=at(0), customer_ids=["anna"], subject=subject)
    with pytest.raises(BadMessage) as caught:
        check(request, environment)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("survey", Subject(statement="Prices are fair.", scale=["no", "yes"])),
        ("review", Subject(candidates=["milk"])),
    ],
)
def test_what_no_receipt_answers_waits_for_no_trip(
    planner: Planner, environment: Environment, kind: QuestionKind, subject: Subject
) -> None:
    asked = ask(0.1).model_copy(update={"kind": kind, "subject": subject})
    check(Request.model_validate(asked.model_dump() | {"customer_ids": ["anna"]}), environment)
    ledger = Ledger()
    planner.on_profile(ledger, profile(0), {}, NOW)
    query = only(planner.on_ask(ledger, asked, {}, NOW))
    assert (query.kind, query.subject, query.settlement.by) == (kind, subject, "until")


def test_nobody_is_asked_about_without_consent(planner: Planner, environment: Environment) -> None:
    ledger = Ledger()
    campaign_in(environment)
    environment.put_promotion(promotion("d", "display", ["milk"]))
    plan = planner.on_profile(ledger, profile(1, due=DUE, consent=False), {}, NOW)
    assert (plan.queries, set(plan.refusals)) == ([], {"no_consent"})
    assert len(plan.refusals) == 3
    assert planner.on_ask(ledger, ask(1), {}, NOW).refusals == ["no_consent"]
    planner.on_click(ledger, click(1.0, "a"), {}, NOW)
    assert planner.on_click(ledger, click(1.1, "b"), {}, NOW).refusals == ["no_consent"]
    assert (ledger.spent, ledger.cooling) == ({}, {})


def test_consent_counts_from_the_next_profile(planner: Planner) -> None:
    ledger = Ledger()
    planner.on_profile(ledger, profile(1, consent=False), {}, NOW)
    planner.on_profile(ledger, profile(2), {}, NOW)
    only(planner.on_ask(ledger, ask(2), {}, NOW))


def test_somebody_unknown_is_not_asked_about(planner: Planner) -> None:
    assert planner.on_ask(Ledger(), ask(1), {}, NOW).refusals == ["no_twin"]


def test_the_budget_of_a_day_is_not_exceeded(environment: Environment) -> None:
    planner = Planner(Rules(budget_per_day=2, cooldown_s=0, deadline_s=300), environment)
    ledger = Ledger()
    planner.on_profile(ledger, profile(0, due=DUE), {}, NOW)
    assert len(planner.on_ask(ledger, ask(0.1, "r1"), {}, NOW).queries) == 1
    assert planner.on_ask(ledger, ask(0.2, "r2"), {}, NOW).refusals == ["over_budget"]
    assert planner.on_profile(ledger, profile(0.3, due=DUE), {}, NOW).refusals == ["over_budget"]
    assert len(planner.on_ask(ledger, ask(1, "r2"), {}, NOW).queries) == 1


def test_a_budget_of_nothing_asks_nothing(environment: Environment) -> None:
    planner = Planner(Rules(budget_per_day=0, cooldown_s=0, deadline_s=300), environment)
    assert planner.on_profile(Ledger(), profile(0, due=DUE), {}, NOW).refusals == ["over_budget"]


def test_ids_differ_by_customer_kind_trigger_and_occasion(planner: Planner, environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", ["milk"], (0, 30)))
    ids = set()
    for customer in ("anna", "bob"):
        ledger = Ledger()
        for day in (1, 2, 3):
            ids |= {
                q.query_id for q in planner.on_profile(ledger, profile(day, customer, DUE), {}, NOW).queries
            }
            ids |= {
                q.query_id
                for q in planner.on_ask(ledger, ask(day, f"r{day}", ["x"], customer), {}, NOW).queries
            }
    assert len(ids) == 2 * 3 * 3


def test_the_policy_has_no_clock_and_no_io() -> None:
    for name in ("planner", "ledger", "questions", "retrieved", "trips", "carts", "vouchers", "requests"):
        tree = ast.parse((ROOT / "streams" / "agents" / f"{name}.py").read_text(encoding="utf-8"))
        assert [found for _, found in impurities(tree) if found != "datetime"] == []
