"""One question about one customer, answered here and now: by the worker's decider, without its queue.

The answer is as of a moment. Without one, that is how far events have come, with the twin as it stands; with one,
everything is recomputed from the lake as it was then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from streams.errors import TwinsError, UsageError
from streams.lake_decider import current_decider, history_until, products_of
from streams.live_products import LiveProducts
from streams.live_promotions import environment_at
from streams.live_twins import live_twin
from streams.past_promotions import campaign_then, shelves_then
from streams.settings import Settings
from trainer.deciders.base import Decision, DecisionInput, Refusal
from twin_store.batch_fold import twin_as_of
from twin_store.catalogue import Catalogue
from twin_store.dna.reading import visits_by_key
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence import Products, Question
from twin_store.lake import Lake, LakeError
from twin_store.messages import ProductContext
from twin_store.messages.base import format_instant
from twin_store.messages.codec import SECONDS_PER_DAY, instant_of
from twin_store.messages.decisions import Environment, QuestionKind, Subject
from twin_store.symbols import key_of, visit_parts


@dataclass(frozen=True)
class Asked:
    """What is asked. `at` is epoch seconds, None for now; `store_id` None for the store she goes to most.

    purchase, promotion_response, basket_completion: `skus`, for the last with the `baskets[0]` to complete.
    trip_choice: `baskets`. voucher_redemption: `campaign_id`. survey: `statement` and the steps of its `scale`.
    review: one of `skus`, and what it should speak to as `statement`, if anything.
    """

    customer_id: str
    kind: QuestionKind = "purchase"
    skus: Sequence[str] = ()
    baskets: Sequence[Sequence[str]] = ()
    campaign_id: str | None = None
    store_id: str | None = None
    at: int | None = None
    statement: str | None = None
    scale: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """An answer with all that it rests on. `options` say what each probability is of.

    Attributes:
        twin_as_of: the newest event that the twin knew.
        trained_until: what the version was trained on happened before this.
        foresees: whether it was trained on what happened after `as_of`, so that it may know the outcome.
        names: what the products of the question are called, by sku.
        told: what a language model's answer has besides, see `trainer.deciders.base.Told`.
        degraded: why it is less than it could be, such as that another decider was asked and did not answer.
        intervals: 95 % of each probability, (low, high); empty where the version gives none.
        abstains: why the decider would rather not answer, though it does: too little is known of her.
    """

    customer_id: str
    kind: QuestionKind
    as_of: str
    store_id: str | None
    options: list[str]
    probabilities: list[float]
    choice: str | None
    decider: str
    version: str
    trained_until: str
    foresees: bool
    twin_as_of: str
    twin_hash: str
    evidence: list[dict[str, float]]
    names: dict[str, str]
    told: dict[str, Any] | None = None
    degraded: str | None = None
    intervals: list[tuple[float, float]] = field(default_factory=list)
    abstains: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the console."""
        return asdict(self)


@dataclass(frozen=True)
class Who:
    """Who answers. `trained_until` is empty where that is not known."""

    decider: str
    version: str
    trained_until: str


Answerer = Callable[[DecisionInput, Products], tuple[Decision | Refusal, Who]]
"""Answers one question over these products."""


@dataclass(frozen=True)
class _Known:
    """What is known for the question: the twin at the moment, the products, and what surrounds her."""

    twin: Twin
    symbols: Mapping[int, str]
    as_of: int
    store_id: str | None
    products: Products
    context: list[ProductContext]
    subject: Subject


def ask(
    settings: Settings,
    asked: Asked,
    products: LiveProducts | None = None,
    answerer: Answerer | None = None,
) -> Answer:
    """Answer one question.

    Args:
        answerer: who answers; the current version of the evidence decider if not given.
        products: the products as they stand, for whoever keeps them; read from the topics if not given.

    Raises:
        UsageError: the question lacks something, the customer is not known, or there is no model.
        TwinsError: Kafka, the lake or the registry cannot be read.
    """
    _check(asked)
    by = answerer or partial(by_evidence, settings)
    if asked.at is not None:
        return _decide(asked, _then(settings, asked, asked.at), by)
    with contextlib.ExitStack() as stack:
        live = products or stack.enter_context(contextlib.closing(LiveProducts(settings)))
        known = _now(settings, asked, live.products)
        with live.lock:
            return _decide(asked, known, by)


def _check(asked: Asked) -> None:
    if asked.kind in ("purchase", "promotion_response", "basket_completion") and not asked.skus:
        raise UsageError(f"a {asked.kind} question is about products: name them with --sku")
    if asked.kind == "basket_completion" and not asked.baskets:
        raise UsageError("a basket_completion question needs the basket so far: --basket SKU,SKU")
    if asked.kind == "trip_choice" and len(asked.baskets) < 2:
        raise UsageError("a trip_choice question is between baskets: give --basket twice or more")
    if asked.kind == "voucher_redemption" and asked.campaign_id is None:
        raise UsageError("a voucher_redemption question is about a campaign: name it with --campaign")
    if asked.kind == "survey" and (asked.statement is None or len(asked.scale) < 2):
        raise UsageError(
            "a survey question needs --statement, and --step twice or more: the steps of its scale"
        )
    if asked.kind == "review" and len(asked.skus) != 1:
        raise UsageError("a review is of one product: name it with --sku")


def _now(settings: Settings, asked: Asked, products: Products) -> _Known:
    found = live_twin(settings, asked.customer_id)
    if found is None:
        raise UsageError(f"no customer {asked.customer_id!r} has a twin; ids are those of the receipts")
    store = asked.store_id or _usual_store(found.twin, found.symbols)
    around = environment_at(settings, found.reached, store, asked.campaign_id)
    subject = _subject(asked)
    if asked.campaign_id is not None:
        campaign = around.campaign(asked.campaign_id)
        if campaign is None:
            raise UsageError(f"there is no campaign {asked.campaign_id!r} among the promotions")
        subject = campaign.subject
    context = around.context(_named(asked), store, found.reached)
    return _Known(found.twin, found.symbols, found.reached, store, products, context, subject)


def _then(settings: Settings, asked: Asked, at: int) -> _Known:
    try:
        twin, symbols = twin_as_of(Lake(settings.lake), asked.customer_id, at)
    except LakeError as error:
        raise TwinsError(str(error)) from error
    if not (twin.last_second or twin.about_second):
        raise UsageError(
            f"nothing was known of customer {asked.customer_id!r} at {instant_of(at):%Y-%m-%d %H:%M}"
        )
    history = history_until(settings, instant_of(at + 1))
    store = asked.store_id or _usual_store(twin, symbols)
    subject = _subject(asked)
    if asked.campaign_id is not None:
        subject = campaign_then(history, asked.campaign_id)
    context = shelves_then(history, _named(asked), store, at)
    return _Known(twin, symbols, at, store, products_of(history), context, subject)


def _decide(asked: Asked, known: _Known, answerer: Answerer) -> Answer:
    surroundings = Environment(store_id=known.store_id, context=known.context)
    question = Question(asked.kind, known.as_of, known.subject, surroundings)
    twin = rewind(known.twin, known.as_of)
    given = DecisionInput(question, twin, customer_id=asked.customer_id, symbols=known.symbols)
    decision, who = answerer(given, known.products)
    if isinstance(decision, Refusal):
        raise UsageError(f"no answer: {decision.reason}")
    as_of = instant_of(known.as_of)
    return Answer(
        customer_id=asked.customer_id,
        kind=asked.kind,
        as_of=format_instant(as_of),
        store_id=known.store_id,
        options=_options(asked),
        probabilities=[round(p, 6) for p in decision.probabilities],
        choice=decision.choice,
        decider=who.decider,
        version=who.version if decision.told is None else decision.told.version,
        trained_until=who.trained_until,
        foresees=who.trained_until[:10] > format_instant(as_of)[:10],
        twin_as_of=format_instant(instant_of(twin.last_second)),
        twin_hash=twin.content_hash(),
        evidence=decision.evidence,
        names=_names(asked, known.products.catalogue),
        told=None if decision.told is None else asdict(decision.told),
        degraded=decision.degraded,
        intervals=[(round(low, 6), round(high, 6)) for low, high in decision.intervals],
        abstains=decision.abstains,
    )


def by_evidence(
    settings: Settings, asked: DecisionInput, products: Products, lacks: str | None = None
) -> tuple[Decision | Refusal, Who]:
    """The current version's answer; `lacks` says why another decider gives none, if so.

    Raises as `current_decider`.
    """
    decider, manifest = current_decider(settings, products)
    who = Who(decider.name, decider.version, manifest.until)
    decision = decider.decide([asked])[0]
    if lacks is None:
        return decision, who
    if isinstance(decision, Refusal):
        return Refusal(f"{lacks}; {decision.reason}"), who
    return replace(decision, degraded="; ".join(filter(None, (decision.degraded, lacks)))), who


def _names(asked: Asked, catalogue: Catalogue) -> dict[str, str]:
    found = {sku: catalogue.name_of(key_of(sku)) for sku in _named(asked)}
    return {sku: name for sku, name in found.items() if name is not None}


def _subject(asked: Asked) -> Subject:
    match asked.kind:
        case "trip_choice":
            return Subject(baskets=[list(basket) for basket in asked.baskets])
        case "basket_completion":
            return Subject(candidates=list(asked.skus), partial_basket=list(asked.baskets[0]))
        case "survey":
            return Subject(statement=asked.statement, scale=list(asked.scale))
        case "review":
            return Subject(candidates=list(asked.skus), statement=asked.statement)
        case _:
            return Subject(candidates=list(asked.skus))


def _options(asked: Asked) -> list[str]:
    match asked.kind:
        case "trip_choice":
            return [", ".join(basket) for basket in asked.baskets]
        case "voucher_redemption":
            return [f"redeems a voucher of campaign {asked.campaign_id}"]
        case "survey":
            return list(asked.scale)
        case "review":
            return []
        case _:
            return list(asked.skus)


def _named(asked: Asked) -> list[str]:
    """Every product of the question, each once."""
    return list(dict.fromkeys([*asked.skus, *(sku for basket in asked.baskets for sku in basket)]))


def _usual_store(twin: Twin, symbols: dict[int, str]) -> str | None:
    """The store with the most receipts in the window."""
    keys, receipts, _ = visits_by_key(twin.visits, twin.last_second // SECONDS_PER_DAY)
    most = sorted(zip((-receipts).tolist(), keys.tolist(), strict=True))
    stores = (visit_parts(symbols[key])[1] for _, key in most)
    return next((store for store in stores if store), None)
