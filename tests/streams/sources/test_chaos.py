"""Injected faults: the same for a seed, counted exactly, and the truth still in there."""

from __future__ import annotations

from collections import Counter

import pytest

from streams.errors import UsageError
from streams.sources.chaos import Chaos, ChaosReport, inject, parse_chaos
from streams.sources.complete_journey import CompleteJourney
from streams.sources.poison import corrupt, poison_kinds
from streams.sources.record import Record
from streams.topics import CUSTOMERS, PROMOTIONS, TRANSACTIONS
from twin_store.messages import Transaction
from twin_store.messages.codec import BadMessage, decode

ALL = Chaos(duplicates=0.1, out_of_order=0.2, late_s=7 * 86_400, poison=0.02, seed=1)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    topics = (CUSTOMERS, TRANSACTIONS)
    return list(CompleteJourney().records(customers=30, topics=topics))


@pytest.fixture(scope="module")
def truth(records: list[Record]) -> Counter[bytes | None]:
    return Counter(record.value for record in records)


def is_poison(record: Record) -> bool:
    return not record.lines and b"-poison-" in (record.value or b"")[:200]


def test_one_seed_gives_one_stream(records: list[Record]) -> None:
    reports = ChaosReport(), ChaosReport()
    first, second = (list(inject(records, ALL, report)) for report in reports)
    assert first == second
    assert reports[0] == reports[1]
    other = Chaos(duplicates=0.1, out_of_order=0.2, late_s=7 * 86_400, poison=0.02, seed=2)
    assert list(inject(records, other, ChaosReport())) != first


def test_without_faults_nothing_changes(records: list[Record]) -> None:
    assert list(inject(records, Chaos(), ChaosReport())) == records


def test_the_truth_is_still_in_there(records: list[Record], truth: Counter[bytes | None]) -> None:
    faulty = list(inject(records, ALL, ChaosReport()))
    found = Counter(record.value for record in faulty)
    assert all(found[value] >= count for value, count in truth.items())
    assert sum(record.lines for record in faulty) == sum(record.lines for record in records)
    assert sum(record.net_minor for record in faulty) == sum(record.net_minor for record in records)


def test_the_report_counts_exactly(records: list[Record], truth: Counter[bytes | None]) -> None:
    report = ChaosReport()
    faulty = list(inject(records, ALL, report))
    again = sum(count - 1 for count in Counter(r.value for r in faulty if r.value in truth).values())
    assert report.records == sum(record.topic is TRANSACTIONS for record in records)
    assert report.duplicates == again > 100
    assert report.duplicates_later > 0 < report.duplicates_at_once
    assert report.poison.total() == sum(record.value not in truth for record in faulty) > 20
    assert len(faulty) == len(records) + report.duplicates + report.poison.total()
    assert set(report.poison) == set(poison_kinds(TRANSACTIONS))
    overtaken, newest = 0, 0
    for record in faulty:
        if record.lines:
            overtaken += record.at_seconds < newest
            newest = max(newest, record.at_seconds)
    assert report.overtaken == overtaken > 100
    assert report.delayed == sum(record.delay_s > 0 for record in faulty if record.lines)


def test_nothing_is_later_than_asked_and_arrivals_are_in_order(records: list[Record]) -> None:
    faulty = list(inject(records, ALL, ChaosReport()))
    arrivals = [record.arrives_at for record in faulty]
    assert arrivals == sorted(arrivals)
    assert 6 * 86_400 < max(record.delay_s for record in faulty if record.lines) <= 7 * 86_400


def test_only_receipts_suffer_unless_asked(records: list[Record]) -> None:
    faulty = list(inject(records, ALL, ChaosReport()))
    people = [record for record in records if record.topic is CUSTOMERS]
    assert [record for record in faulty if record.topic is CUSTOMERS] == people
    asked = Chaos(poison=1.0, topics=frozenset({CUSTOMERS.name}))
    report = ChaosReport()
    faulty = list(inject(records, asked, report))
    assert report.poison.total() == len(people)
    assert sum(record.topic is TRANSACTIONS for record in faulty) == len(records) - len(people)


@pytest.mark.parametrize("kind", poison_kinds(TRANSACTIONS))
def test_no_reader_accepts_poison(records: list[Record], kind: str) -> None:
    receipt = next(record for record in records if record.topic is TRANSACTIONS)
    assert receipt.value is not None
    body = corrupt(kind, TRANSACTIONS, receipt.value, 7)
    if kind == "wrong_currency":  # the contract knows no deployment; its reader compares with the settings
        assert decode(Transaction, body).currency != "USD"
    else:
        with pytest.raises(BadMessage):
            decode(Transaction, body)


@pytest.mark.parametrize("topic", [CUSTOMERS, PROMOTIONS])
def test_other_topics_have_poison_too(topic: object) -> None:
    records = CompleteJourney().records(customers=["1"], topics=[CUSTOMERS, PROMOTIONS], displays=False)
    record = next(record for record in records if record.topic is topic)
    assert record.value is not None
    assert record.topic.message is not None
    for kind in poison_kinds(record.topic):
        with pytest.raises(BadMessage):
            decode(record.topic.message, corrupt(kind, record.topic, record.value, 0))


def test_the_command_line_form() -> None:
    text = "duplicates=0.1, out_of_order=0.2,late=7d,poison=0.02,seed=1"
    assert parse_chaos(text) == ALL
    topics = f"{TRANSACTIONS.name}+{CUSTOMERS.name}"
    assert parse_chaos(f"late=90s,topics={topics}").topics == {TRANSACTIONS.name, CUSTOMERS.name}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("duplicats=0.1", "did you mean duplicates"),
        ("duplicates=ten", "could not convert"),
        ("duplicates=1.5", "not a share"),
        ("late=7", "such as 7d"),
        ("late=0s", "at least 1s"),
        ("topics=retail.nothing", "no topic retail.nothing"),
    ],
)
def test_a_wrong_fault_is_named(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_chaos(text)
