"""What every state store must do. Each implementation inherits this suite and provides `store`."""

from __future__ import annotations

import random

import pytest

from twin_store.store.base import Change, StateStore


class StateStoreConformance:
    """Get, scan, apply, position."""

    def test_a_new_store_is_empty_and_at_the_beginning(self, store: StateStore) -> None:
        assert store.get(b"a") is None
        assert list(store.scan(b"")) == []
        assert store.position() == 0

    def test_what_was_put_is_there_until_it_is_deleted(self, store: StateStore) -> None:
        store.apply([(b"a", b"1"), (b"b", b""), (b"c", b"3")], 10)
        assert [store.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", b"", b"3", None]
        store.apply([(b"a", None), (b"b", b"2"), (b"absent", None)], 11)
        assert [store.get(key) for key in (b"a", b"b", b"c")] == [None, b"2", b"3"]
        assert store.position() == 11

    def test_of_two_changes_of_one_key_the_last_holds(self, store: StateStore) -> None:
        store.apply([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")], 1)
        assert (store.get(b"a"), store.get(b"b")) == (None, b"2")

    def test_a_position_may_move_without_records_and_backwards(self, store: StateStore) -> None:
        store.apply([], 7)
        store.apply([], 2**40)
        assert store.position() == 2**40
        store.apply([(b"a", b"1")], 5)
        assert store.position() == 5

    def test_a_scan_gives_one_prefix_in_order_of_keys(self, store: StateStore) -> None:
        keys = [b"t\x00", b"tab", b"ta", b"s\xff", b"u", b"t\xff\xff", b"t", b"\xff", b""]
        store.apply([(key, b"of " + key) for key in keys], 1)
        assert [key for key, _ in store.scan(b"t")] == [b"t", b"t\x00", b"ta", b"tab", b"t\xff\xff"]
        assert list(store.scan(b"ta")) == [(b"ta", b"of ta"), (b"tab", b"of tab")]
        assert list(store.scan(b"x")) == []

    def test_keys_and_values_may_be_any_bytes(self, store: StateStore) -> None:
        every = bytes(range(256))
        store.apply([(every, every), (b"\x00", b"\x00"), (b"large", every * 10_000)], 1)
        assert store.get(every) == every
        assert store.get(b"\x00") == b"\x00"
        assert store.get(b"large") == every * 10_000

    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_a_dictionary(self, store: StateStore, seed: int) -> None:
        rng = random.Random(seed)
        truth: dict[bytes, bytes] = {}
        for position in range(60):
            changes: list[Change] = []
            for _ in range(rng.randrange(8)):
                key = rng.choice((b"a", b"b")) + rng.randbytes(rng.randrange(2))
                value = None if rng.random() < 0.3 else rng.randbytes(rng.randrange(40))
                changes.append((key, value))
                if value is None:
                    truth.pop(key, None)
                else:
                    truth[key] = value
            store.apply(changes, position)
            assert store.position() == position
        assert dict(store.scan(b"a")) == {k: v for k, v in truth.items() if k[:1] == b"a"}
        assert all(store.get(key) == value for key, value in truth.items())
