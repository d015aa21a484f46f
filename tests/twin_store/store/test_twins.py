"""The twins of a partition: staged, committed or taken back, read again after anything."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.twin_store.dna.histories import START_DAY, click_table
from tests.twin_store.dna.oracle import Click
from twin_store.dna.binary import Delta
from twin_store.dna.layout import RECEIPT_COLUMNS, VIEW
from twin_store.dna.rows import empty
from twin_store.dna.twin import Twin, fold_about, fold_clicks
from twin_store.messages.codec import SECONDS_PER_DAY
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import GRAVE, LINK, NAMES, SLOTS, TWIN, customer_of, twin_key
from twin_store.store.memory import MemoryStore
from twin_store.store.rocks import RocksStore
from twin_store.store.twins import NEW, TwinStore


def look(twins: TwinStore, customer: str, number: int, whole: bool = False) -> Twin:
    """Stage one more click of a customer."""
    before = twins.get(customer)
    second = START_DAY * SECONDS_PER_DAY + number
    twin, fresh, _ = fold_clicks(before.twin, click_table([Click(number, second, 1, VIEW, 3)]))
    assert len(fresh), "each click of a test has a number of its own"
    twins.stage(customer, before, twin, None if whole else Delta(empty(RECEIPT_COLUMNS), fresh))
    return twin


def commit(twins: TwinStore, position: int = 1) -> list[Change]:
    changes = twins.changes()
    twins.adopt(position)
    return changes


def reopened(store: StateStore) -> TwinStore:
    return TwinStore(store)


def digest(twins: TwinStore, customer: str) -> str:
    return twins.get(customer).twin.content_hash()


def test_who_is_not_known_is_new() -> None:
    twins = TwinStore(MemoryStore())
    assert twins.get("anna") is NEW
    assert (twins.erased_until("anna"), twins.forwarded_to("anna"), twins.names("anna")) == (0, None, {})


def test_what_is_staged_is_seen_at_once_and_stored_by_the_commit() -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    twin = look(twins, "anna", 1)
    assert twins.get("anna").twin is twin
    assert reopened(store).get("anna") is NEW
    commit(twins, 17)
    assert twins.get("anna").twin is twin
    assert digest(reopened(store), "anna") == twin.content_hash()
    assert twins.position() == 17
    assert commit(twins) == []


def test_every_24th_write_is_whole_and_goes_to_slot_0() -> None:
    twins = TwinStore(MemoryStore())
    for number in range(2 * SLOTS + 5):
        look(twins, "anna", number)
        (record,) = commit(twins)
        assert record[0] == twin_key("anna", number % SLOTS)
        assert twins.get("anna").sequence == number
    assert customer_of(record[0]) == "anna"


@pytest.mark.parametrize("count", [1, 2, SLOTS - 1, SLOTS, SLOTS + 1, 3 * SLOTS + 7])
def test_a_twin_is_read_again_from_its_slots(count: int) -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    for number in range(count):
        look(twins, "anna", number)
        look(twins, "berta", 1_000 + number)
        commit(twins)
    again = reopened(store)
    assert digest(again, "anna") == digest(twins, "anna")
    assert again.get("anna").sequence == twins.get("anna").sequence == count - 1
    assert len(list(store.scan(TWIN))) == 2 * min(count, SLOTS)


@pytest.mark.parametrize("at", [0, 1, SLOTS - 1, SLOTS, SLOTS + 3])
def test_a_twin_that_is_written_whole_out_of_turn_begins_a_new_run(at: int) -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    for number in range(at):
        look(twins, "anna", number)
        commit(twins)
    look(twins, "anna", 500, whole=True)
    ((key, _),) = commit(twins)
    assert key == twin_key("anna", 0)
    assert digest(reopened(store), "anna") == digest(twins, "anna"), "older deltas do not follow it"
    for number in range(SLOTS + 2):
        look(twins, "anna", 600 + number)
        commit(twins)
        assert digest(reopened(store), "anna") == digest(twins, "anna")


def test_a_delta_carries_a_newer_customer_message() -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    look(twins, "anna", 1)
    commit(twins)
    before = twins.get("anna")
    delta = Delta(empty(RECEIPT_COLUMNS), empty(6), b"{}", 9)
    twins.stage("anna", before, fold_about(before.twin, b"{}", 9), delta)
    commit(twins)
    stored = reopened(store).get("anna").twin
    assert (stored.about, stored.about_second) == (b"{}", 9)


def test_twins_that_went_cold_are_read_again_as_they_were() -> None:
    twins = TwinStore(MemoryStore(), hot_max=3)
    names = [f"c{n}" for n in range(10)]
    truth: dict[str, str] = {}
    for number in range(60):
        customer = names[number * 7 % 10]
        truth[customer] = look(twins, customer, number).content_hash()
        commit(twins)
        assert twins.hot_count() <= 3
    assert {name: digest(twins, name) for name in names} == truth
    assert twins.hot_bytes() == sum(twins.get(name).twin.nbytes() for name in names[-3:])


def test_twins_are_counted_through_commits_aborts_and_erasures() -> None:
    store = MemoryStore()
    twins = TwinStore(store, hot_max=1)

    def agrees(count: int) -> bool:
        return twins.count() == reopened(store).count() == count

    assert agrees(0)
    for number, name in enumerate("abab"):
        look(twins, name, number)
    assert agrees(0), "nothing is committed"
    commit(twins)
    assert agrees(2)
    look(twins, "c", 9)
    twins.stage_erasure("a", 1)
    twins.discard()
    assert agrees(2)
    twins.stage_erasure("a", 1)
    look(twins, "a", 10, whole=True)
    twins.stage_erasure("b", 1)
    twins.stage_erasure("nobody", 1)
    commit(twins)
    assert agrees(1)


def test_a_batch_may_be_larger_than_what_stays_hot() -> None:
    twins = TwinStore(MemoryStore(), hot_max=2)
    truth = {f"c{n}": look(twins, f"c{n}", n).content_hash() for n in range(10)}
    assert {name: digest(twins, name) for name in truth} == truth
    commit(twins)
    assert {name: digest(twins, name) for name in truth} == truth


def test_a_twin_that_was_asked_for_lately_stays_hot() -> None:
    store = CountingStore()
    twins = TwinStore(store, hot_max=2)
    for number, name in enumerate("ab"):
        look(twins, name, number)
        commit(twins)
    twins.get("a")
    look(twins, "c", 9)
    commit(twins)
    store.read = 0
    twins.get("a")
    assert store.read == 0
    twins.get("b")
    assert store.read > 0


class CountingStore(MemoryStore):
    """Counts what is read of it."""

    read = 0

    def get(self, key: bytes) -> bytes | None:
        self.read += 1
        return super().get(key)


def everything(twins: TwinStore) -> tuple[object, ...]:
    """All that can be asked of the customers of these tests."""
    return (
        [digest(twins, name) for name in ("anna", "berta", "visitor")],
        [twins.get(name).sequence for name in ("anna", "berta", "visitor")],
        [twins.erased_until(name) for name in ("anna", "berta", "visitor")],
        [twins.forwarded_to(name) for name in ("anna", "berta", "visitor")],
        [twins.names(name) for name in ("anna", "berta", "visitor")],
        dict(twins.symbols),
    )


STEPS: list[Callable[[TwinStore], object]] = [
    lambda twins: look(twins, "anna", 9),
    lambda twins: look(twins, "berta", 9, whole=True),
    lambda twins: twins.stage_symbols({"milk": 7, "store/9": -9}),
    lambda twins: twins.stage_erasure("anna", 500),
    lambda twins: twins.stage_erasure("visitor", 50),
    lambda twins: twins.stage_link("visitor", "berta", 300),
    lambda twins: twins.stage_link("tablet", "berta", 300),
    lambda twins: twins.stage_name("berta", "tablet", 300),
    lambda twins: twins.stage_records([(b"p1", b"product")]),
]


@pytest.mark.parametrize("asked", [False, True], ids=["before its changes were asked for", "after"])
def test_what_is_discarded_never_happened(asked: bool) -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    look(twins, "anna", 1)
    look(twins, "visitor", 2)
    twins.stage_symbols({"bread": 5})
    twins.stage_erasure("berta", 100)
    twins.stage_link("visitor", "anna", 100)
    twins.stage_name("anna", "visitor", 100)
    commit(twins, 3)
    before, records = everything(twins), dict(store.scan(b""))
    for step in STEPS:
        step(twins)
    if asked:
        assert len(twins.changes()) > SLOTS
    twins.discard()
    assert everything(twins) == before
    assert commit(twins, 4) == []
    assert dict(store.scan(b"")) == records
    assert everything(reopened(store)) == before


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_every_step_is_there_when_it_is_opened_again(number: int) -> None:
    store, changelog = MemoryStore(), MemoryStore()
    twins = TwinStore(store)
    look(twins, "anna", 1)
    twins.stage_link("visitor", "berta", 40)
    changelog.apply(commit(twins), 1)
    STEPS[number](twins)
    changelog.apply(commit(twins), 2)
    assert everything(reopened(store)) == everything(twins)
    assert everything(reopened(changelog)) == everything(twins), "and so it is for who reads the changelog"


def test_symbols_are_written_once_in_blocks_of_their_own() -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    for number in range(5):
        twins.stage_symbols({"milk": 7, f"s{number}": number})
        commit(twins)
        twins.stage_symbols({"milk": 7})
        assert commit(twins) == []
    again = reopened(store)
    assert again.symbols == {7: "milk", **{n: f"s{n}" for n in range(5)}}
    again.stage_symbols({"new": 100})
    commit(again)
    assert reopened(store).symbols == again.symbols, "no block is overwritten"


def test_an_erased_customer_is_new_and_her_grave_stays() -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    for number in range(SLOTS + 5):
        look(twins, "anna", number)
        commit(twins)
    twins.stage_erasure("anna", 900)
    assert twins.get("anna") is NEW
    assert twins.erased_until("anna") == 900
    commit(twins)
    assert list(store.scan(TWIN)) == []
    assert dict(store.scan(GRAVE)) == {GRAVE + b"anna": b"900"}
    again = reopened(store)
    assert again.get("anna") is NEW
    assert again.erased_until("anna") == 900


def test_what_is_left_after_an_erasure_begins_a_new_life() -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    for number in range(5):
        look(twins, "anna", number)
        commit(twins)
    twins.stage_erasure("anna", 900)
    look(twins, "anna", 1_000, whole=True)
    assert twins.get("anna").sequence == 0
    commit(twins)
    assert len(list(store.scan(TWIN))) == 1
    look(twins, "anna", 1_001)
    commit(twins)
    assert digest(reopened(store), "anna") == digest(twins, "anna")


def test_an_erasure_forgets_links_and_names_from_up_to_then_only() -> None:
    store = MemoryStore()
    twins = TwinStore(store)
    twins.stage_link("visitor", "anna", 100)
    twins.stage_link("tablet", "anna", 201)
    twins.stage_name("anna", "visitor", 100)
    twins.stage_name("anna", "tablet", 201)
    commit(twins)
    for name in ("visitor", "tablet", "anna"):
        twins.stage_erasure(name, 200)
    commit(twins)
    for each in (twins, reopened(store)):
        assert (each.forwarded_to("visitor"), each.forwarded_to("tablet")) == (None, "anna")
        assert each.names("anna") == {"tablet": 201}
    assert dict(store.scan(LINK)).keys() == {LINK + b"tablet"}
    twins.stage_erasure("anna", 300)
    commit(twins)
    assert list(store.scan(NAMES)) == []


def test_a_link_is_as_new_as_the_newest_record_that_says_so() -> None:
    twins = TwinStore(MemoryStore())
    twins.stage_link("visitor", "anna", 200)
    twins.stage_link("visitor", "anna", 100)
    twins.stage_name("anna", "visitor", 200)
    twins.stage_name("anna", "visitor", 100)
    twins.stage_erasure("visitor", 150)
    assert twins.forwarded_to("visitor") == "anna"
    assert twins.names("anna") == {"visitor": 200}


class Follower:
    """A replica that takes the changelog in pieces."""

    def __init__(self, store: StateStore, hot_max: int) -> None:
        self.twins = TwinStore(store, hot_max)
        self._taken = 0

    def follow(self, changelog: list[Change], end: int) -> None:
        self.twins.replicate(changelog[self._taken : end], end)
        self._taken = end


@pytest.mark.parametrize("seed", range(30))
def test_through_faults_and_erasures_all_readers_agree(tmp_path: Path, seed: int) -> None:
    """A writer that aborts and dies, one who restores from the changelog alone, and a replica that lags."""
    rng = random.Random(seed)
    disk: StateStore = RocksStore(tmp_path) if seed % 3 == 0 else MemoryStore()
    twins = TwinStore(disk, hot_max=rng.choice((1, 3, 100)))
    changelog: list[Change] = []
    replica = Follower(MemoryStore(), rng.choice((1, 100)))
    names = ["anna", "berta", "visitor"]
    truth: dict[str, Twin] = {}
    graves: dict[str, int] = {}
    for number in range(120):
        staged, dead = dict(truth), dict(graves)
        for name in rng.sample(names, rng.randint(1, 3)):
            if rng.random() < 0.06:
                until = dead.get(name, 0) + rng.randint(1, 9)
                twins.stage_erasure(name, until)
                staged.pop(name, None)
                dead[name] = until
            else:
                staged[name] = look(twins, name, number, whole=name not in staged or rng.random() < 0.05)
        fate = rng.random()
        if fate < 0.1:
            twins.discard()
            continue
        changelog += twins.changes()
        truth, graves = staged, dead
        if fate < 0.2:  # killed between the commit and the write: read again from where the disk is
            disk.apply(changelog[disk.position() :], len(changelog))
            twins = TwinStore(disk, hot_max=2)
        else:
            twins.adopt(len(changelog))
        replica.follow(changelog, rng.randint(replica.twins.position(), len(changelog)))
        if rng.random() < 0.3:
            replica.twins.get(rng.choice(names))
    replica.follow(changelog, len(changelog))
    restored = MemoryStore()
    restored.apply(changelog, len(changelog))
    for reader in (twins, TwinStore(restored), replica.twins):
        assert {name: digest(reader, name) for name in truth} == {
            name: twin.content_hash() for name, twin in truth.items()
        }
        assert all(reader.get(name) is NEW for name in names if name not in truth)
        assert {name: reader.erased_until(name) for name in graves} == graves
    assert np.all([twin.clicks[:, 0].size for twin in truth.values()])
    disk.close()
