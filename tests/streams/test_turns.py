"""Whose turn it is among the partitions of a lane."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from streams.batch import Batch, Source
from streams.topics import CLICKSTREAM, STATE, TRANSACTIONS
from streams.turns import Turns


def records(first: int, count: int) -> list[Message]:
    return [cast(Message, SimpleNamespace(offset=lambda at=at: at)) for at in range(first, first + count)]


def read(*sources: tuple[Source, int, int]) -> Batch:
    return Batch({source: records(first, count) for source, first, count in sources})


def taken(turn: Batch) -> dict[int, int]:
    """How many records of each partition."""
    counts: dict[int, int] = {}
    for (_, partition), messages in turn.records.items():
        counts[partition] = counts.get(partition, 0) + len(messages)
    return counts


def test_the_partition_that_has_waited_longest_is_next_and_goes_whole() -> None:
    turns = Turns(size=10, most=1_000)
    turns.add(read(((TRANSACTIONS, 3), 0, 12), ((TRANSACTIONS, 1), 0, 20)))
    turns.add(read(((CLICKSTREAM, 3), 5, 4)))
    assert taken(turns.next()) == {3: 16}
    turns.add(read(((TRANSACTIONS, 3), 12, 1)))
    assert len(turns) == 21
    assert taken(turns.next()) == {1: 20}
    assert taken(turns.next()) == {3: 1}
    assert not turns.next()
    assert not turns


def test_small_ones_go_together() -> None:
    turns = Turns(size=10, most=1_000)
    turns.add(read(*(((TRANSACTIONS, partition), 0, 4) for partition in range(5))))
    assert taken(turns.next()) == {0: 4, 1: 4, 2: 4}
    assert taken(turns.next()) == {3: 4, 4: 4}


@pytest.mark.parametrize("size", [10, None])
def test_with_much_waiting_or_without_a_size_all_go_together(size: int | None) -> None:
    turns = Turns(size, most=40)
    turns.add(read(*(((TRANSACTIONS, partition), 0, 14) for partition in range(3))))
    assert taken(turns.next()) == {0: 14, 1: 14, 2: 14}


def test_the_end_of_a_changelog_comes_with_the_records_before_it() -> None:
    turns = Turns(size=1, most=1_000)
    turns.add(Batch({(TRANSACTIONS, 0): records(0, 2), (TRANSACTIONS, 1): records(0, 1)}, {(STATE, 1): 7}))
    assert turns.next().ends == {}
    assert turns.next().ends == {(STATE, 1): 7}


def test_what_was_given_up_or_is_read_again_waits_no_more() -> None:
    turns = Turns(size=10, most=1_000)
    turns.add(read(((TRANSACTIONS, 0), 0, 5), ((TRANSACTIONS, 1), 0, 6)))
    turns.drop(0)
    turns.drop(7)
    assert len(turns) == 6
    turns.clear()
    assert len(turns) == 0
    assert not turns.next()


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.lists(
                st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, unique_by=lambda each: each[0]
            ),
        )
    ),
    st.integers(1, 12),
)
def test_every_record_comes_once_and_in_order(steps: list[Any], size: int) -> None:
    turns = Turns(size, most=30)
    added: dict[int, int] = {}
    seen: dict[int, list[int | None]] = {}

    def take() -> None:
        for (_, partition), messages in turns.next().records.items():
            seen.setdefault(partition, []).extend(message.offset() for message in messages)

    for step in steps:
        if step is None:
            take()
            continue
        turns.add(read(*(((TRANSACTIONS, p), added.get(p, 0), count) for p, count in step)))
        for partition, count in step:
            added[partition] = added.get(partition, 0) + count
    while turns:
        take()
    assert seen == {partition: list(range(count)) for partition, count in added.items()}
    assert len(turns) == 0
