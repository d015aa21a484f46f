"""Rounds under crashes, redelivery and poison: the same queries with the same ids, each customer within her limits.

The post here keeps records in memory and goes down when it is told to; `tests/integration/test_planner.py` does
the same to the real one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.agents import ledger as ledgers
from streams.agents.neighbours import NeighbourMemo
from streams.agents.planner import Plan, Planner, Rules
from streams.agents.rounds import Arrival, Rounds
from streams.dead_letters import Origin
from streams.environment import Environment
from streams.kafka import Headers
from streams.topics import ASKS, CLICKSTREAM, DEAD_LETTERS, PLANNER_STATE, PROFILES, QUERIES, Topic
from tests.streams.agents.people import ask, campaign_in, click, profile, promotion, seconds
from twin_store.messages import DeadLetter, Message, Query
from twin_store.messages.codec import SECONDS_PER_DAY
from twin_store.products import ProductRetrieval
from twin_store.products.edge import EdgeIndex

BUDGET = 3
CUSTOMERS = ("anna", "bob")
DUE = {"milk": 1.2, "bread": 0.9, "tea": 0.1}


class CrashError(Exception):
    """The process is gone."""


class MemoryPost:
    """Keeps what is delivered. After `fuse` more records the process goes down, before or after the last one."""

    def __init__(self) -> None:
        self.sent: list[tuple[Topic, bytes | None, bytes | None, Headers]] = []
        self.fuse: float = float("inf")
        self._durable: dict[bytes, bytes] = {}
        self._in_force: dict[bytes, bytes] = {}

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Awaitable[Any]:
        self.fuse -= 1
        if self.fuse < 0:
            raise CrashError
        self.sent.append((topic, key, value, headers))
        return _done()

    def ledger(self, key: bytes) -> bytes | None:
        return self._in_force.get(key)

    async def write(self, key: bytes, value: bytes | None) -> Awaitable[Any]:
        delivered = await self.send(PLANNER_STATE, key, value)
        _put(self._durable, key, value)
        return delivered

    def keep(self, key: bytes, value: bytes | None) -> None:
        _put(self._in_force, key, value)

    def restart(self) -> None:
        """Memory is lost; what was durable is read back."""
        self.fuse = float("inf")
        self._in_force = dict(self._durable)

    def queries(self) -> list[Query]:
        return [
            Query.model_validate_json(value or b"") for topic, _, value, _ in self.sent if topic is QUERIES
        ]

    def letters(self) -> list[DeadLetter]:
        return [
            DeadLetter.model_validate_json(value or b"")
            for topic, _, value, _ in self.sent
            if topic is DEAD_LETTERS
        ]


class Tally:
    """Counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def planned(self, plan: Plan) -> None:
        self.counts["queries"] += len(plan.queries)
        self.counts.update(plan.refusals)

    def passed_over(self, topic: Topic) -> None:
        self.counts["passed over"] += 1

    def buried(self, topic: Topic) -> None:
        self.counts["buried"] += 1


def _done() -> Awaitable[Any]:
    """What is delivered at once."""
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def _put(store: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        store.pop(key, None)
    else:
        store[key] = value


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NeighbourMemo]:
    """The neighbours in an index that is still empty."""
    index = EdgeIndex(Path(tmp_path_factory.mktemp("index")), "model")
    memo = NeighbourMemo(ProductRetrieval(index))
    yield memo
    memo.close()
    index.close()


def surroundings() -> Environment:
    environment = Environment()
    campaign_in(environment, CUSTOMERS, days=(1, 30))
    environment.put_promotion(promotion("d", "display", ["tea", "milk"], (0, 30)))
    return environment


def rounds_on(post: MemoryPost, neighbours: NeighbourMemo, tally: Tally | None = None) -> Rounds:
    planner = Planner(Rules(BUDGET, SECONDS_PER_DAY, 300), surroundings())
    return Rounds(planner, neighbours, post, tally or Tally())


def arrivals(events: Sequence[Message | None]) -> list[Arrival]:
    """Events as records of one partition, each topic with offsets of its own. None erases anna."""
    offsets: Counter[str] = Counter()
    found = []
    for event in events:
        kind = "Profile" if event is None else type(event).__name__
        topic = {"Profile": PROFILES, "Ask": ASKS, "Click": CLICKSTREAM}[kind]
        key = b"anna" if event is None else getattr(event, "customer_id").encode()  # noqa: B009
        value = None if event is None else event.to_wire()
        found.append(Arrival(topic, Origin(topic.name, 0, offsets[topic.name], key, value)))
        offsets[topic.name] += 1
    return found


def said(queries: Sequence[Query]) -> dict[str, dict[str, Any]]:
    """Each query by id, less the moment it was raised at."""
    return {q.query_id: q.model_dump(exclude={"raised_at", "deadline"}) for q in queries}


def play(
    post: MemoryPost, neighbours: NeighbourMemo, log: Sequence[Arrival], sizes: Sequence[int] = (1,)
) -> None:
    """All records in rounds of these sizes, over and over."""

    async def play_rounds() -> None:
        rounds, at, turn = rounds_on(post, neighbours), 0, 0
        while at < len(log):
            await rounds.take(log[at : at + sizes[turn % len(sizes)]])
            at += sizes[turn % len(sizes)]
            turn += 1

    asyncio.run(play_rounds())


def events() -> st.SearchStrategy[Message]:
    """What may happen to one of two customers within five days, in no order."""
    day = st.integers(0, 50).map(lambda tenth: tenth / 10)
    who = st.sampled_from(CUSTOMERS)
    sku = st.sampled_from(["milk", "ale", "gin"])
    return st.one_of(
        st.builds(
            lambda d, c, yes: profile(d, c, DUE, consent=yes), day, who, st.sampled_from([True, True, False])
        ),
        st.builds(lambda d, c, s: click(d, s, customer_id=c), day, who, sku),
        st.builds(lambda d, c, r: ask(d, r, ["milk"], c), day, who, st.sampled_from(["r1", "r2", "r3"])),
    )


histories = st.lists(events(), max_size=25)
sizes = st.lists(st.integers(1, 7), min_size=1, max_size=4)
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(histories, sizes)
@many
def test_the_size_of_a_round_changes_nothing(
    neighbours: NeighbourMemo, history: list[Message], of_sizes: list[int]
) -> None:
    one_by_one, together = MemoryPost(), MemoryPost()
    play(one_by_one, neighbours, arrivals(history))
    play(together, neighbours, arrivals(history), of_sizes)
    assert said(one_by_one.queries()) == said(together.queries())
    assert len(one_by_one.queries()) == len(together.queries())


@given(histories, sizes, st.lists(st.integers(0, 12), min_size=1, max_size=5), st.data())
@many
def test_a_crash_loses_no_query_and_invents_none(
    neighbours: NeighbourMemo,
    history: list[Message],
    of_sizes: list[int],
    fuses: list[int],
    data: st.DataObject,
) -> None:
    log = arrivals(history)
    undisturbed, post = MemoryPost(), MemoryPost()
    play(undisturbed, neighbours, log)
    at = 0
    for fuse in fuses:
        post.fuse = fuse
        try:
            while at < len(log):
                size = of_sizes[at % len(of_sizes)]
                play(post, neighbours, log[at : at + size], [size])
                at += size
        except CrashError:
            # Offsets are committed now and then: some records that were dealt with come again.
            at = data.draw(st.integers(0, at))
            post.restart()
    post.restart()
    play(post, neighbours, log[at:], of_sizes)
    assert said(post.queries()) == said(undisturbed.queries())


@given(histories, sizes)
@many
def test_reading_everything_again_raises_nothing(
    neighbours: NeighbourMemo, history: list[Message], of_sizes: list[int]
) -> None:
    log, post = arrivals(history), MemoryPost()
    play(post, neighbours, log, of_sizes)
    before = len(post.sent)
    play(post, neighbours, log, of_sizes)
    assert len(post.sent) == before


@given(histories)
@many
def test_limits_hold_and_ids_are_unique(neighbours: NeighbourMemo, history: list[Message]) -> None:
    post = MemoryPost()
    play(post, neighbours, arrivals(history))
    queries = post.queries()
    assert len({query.query_id for query in queries}) == len(queries)
    spent = Counter((query.customer_id, query.as_of.date()) for query in queries)
    assert max(spent.values(), default=0) <= BUDGET


@given(histories, st.randoms(use_true_random=False))
@many
def test_customers_do_not_depend_on_each_other(
    neighbours: NeighbourMemo, history: list[Message], random: Any
) -> None:
    alone, mixed = MemoryPost(), MemoryPost()
    by_customer = [[e for e in history if getattr(e, "customer_id") == c] for c in CUSTOMERS]  # noqa: B009
    play(alone, neighbours, arrivals([event for events in by_customer for event in events]))
    shuffled = []
    while any(by_customer):
        shuffled.append(random.choice([events for events in by_customer if events]).pop(0))
    play(mixed, neighbours, arrivals(shuffled))
    assert said(alone.queries()) == said(mixed.queries())


@given(st.lists(events(), max_size=20))
@many
def test_nobody_is_asked_about_without_consent(neighbours: NeighbourMemo, history: list[Message]) -> None:
    refusing = [
        event.model_copy(update={"personalisation_consent": False}) if hasattr(event, "dna") else event
        for event in history
    ]
    post = MemoryPost()
    play(post, neighbours, arrivals(refusing))
    assert post.queries() == []


def test_an_erased_customer_is_forgotten(neighbours: NeighbourMemo) -> None:
    post = MemoryPost()
    play(post, neighbours, arrivals([profile(0, due=DUE), None]))
    assert post.ledger(b"anna") is None
    assert post.sent[-1][:3] == (PLANNER_STATE, b"anna", None)


def test_what_cannot_be_read_is_buried_and_the_rest_goes_on(neighbours: NeighbourMemo) -> None:
    good = arrivals([profile(0, due=DUE)])[0]
    bad = [
        Arrival(PROFILES, Origin("profiles", 0, 0, b"anna", b'{"customer_id": 7}')),
        Arrival(PROFILES, Origin("profiles", 0, 1, b"bob", good.origin.value)),
        Arrival(ASKS, Origin("asks", 0, 0, b"anna", b"not json")),
        Arrival(ASKS, Origin("asks", 0, 1, b"anna", ask(0).to_wire().replace(b'"1.1"', b'"2.0"'))),
        Arrival(CLICKSTREAM, Origin("clicks", 0, 0, b"anna", b"not json")),  # the updater's to bury
    ]
    post, tally = MemoryPost(), Tally()
    last = Arrival(PROFILES, Origin("profiles", 0, 9, b"anna", good.origin.value))
    asyncio.run(rounds_on(post, neighbours, tally).take([*bad, last]))
    places = [(letter.origin_topic, letter.origin_offset, letter.place) for letter in post.letters()]
    assert places == [
        ("profiles", 0, "customer_id"),
        ("profiles", 1, "customer_id"),
        ("asks", 0, None),
        ("asks", 1, "version"),
    ]
    assert tally.counts["buried"] == 4
    assert [query.customer_id for query in post.queries()] == ["anna", "anna"]


def test_a_defect_buries_the_record_and_spares_the_ledger(
    neighbours: NeighbourMemo, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = MemoryPost()
    rounds = rounds_on(post, neighbours)
    first, second = arrivals([profile(0, due=DUE), profile(1, due=DUE)])
    asyncio.run(rounds.take([first]))
    before = post.ledger(b"anna")
    assert before is not None

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Environment, "promoted", fail)
    asyncio.run(rounds.take([second]))
    assert post.ledger(b"anna") == before
    assert "ZeroDivisionError" in post.letters()[0].reason


def test_the_event_s_id_is_the_query_s(neighbours: NeighbourMemo) -> None:
    post = MemoryPost()
    play(post, neighbours, arrivals([profile(0, due=DUE)]))
    for topic, key, value, headers in post.sent:
        if topic is QUERIES:
            attributes = dict(headers)
            assert attributes["ce_id"] == Query.model_validate_json(value or b"").query_id.encode()
            assert attributes["ce_type"] == b"twins.query.v1"
            assert key == b"anna"


def test_event_time_advances_with_profiles_and_never_back(neighbours: NeighbourMemo) -> None:
    async def read() -> dict[int, int]:
        rounds = rounds_on(MemoryPost(), neighbours)
        await rounds.take(arrivals([profile(3), profile(1, "bob"), ask(9)]))
        return rounds.as_of

    assert asyncio.run(read()) == {0: seconds(3)}


def test_a_campaign_is_put_to_whoever_has_not_been_asked(neighbours: NeighbourMemo) -> None:
    async def play_campaign() -> tuple[MemoryPost, Tally]:
        post, tally = MemoryPost(), Tally()
        rounds = rounds_on(post, neighbours, tally)
        await rounds.take(arrivals([profile(0), profile(0, "bob", consent=False)]))
        campaign = campaign_in(Environment(), ["anna", "bob", "carl"], days=(1, 30))
        for _ in range(2):
            await rounds.open_campaign(campaign, campaign.audience)
        return post, tally

    post, tally = asyncio.run(play_campaign())
    assert [(query.customer_id, query.kind) for query in post.queries()] == [("anna", "voucher_redemption")]
    assert tally.counts["no_consent"] == 2
    kept = ledgers.decode(post.ledger(b"anna"))
    assert kept.is_cooling(next(iter(kept.cooling)), seconds(30))


def test_deadlines_count_from_the_moment_a_query_is_raised(neighbours: NeighbourMemo) -> None:
    post = MemoryPost()
    play(post, neighbours, arrivals([profile(0, due=DUE)]))
    query = post.queries()[0]
    assert (query.deadline - query.raised_at).total_seconds() == 300
    assert query.raised_at <= datetime.now(query.raised_at.tzinfo)
