"""The twins of one partition: the hot ones decoded, the rest in the store; changes staged until the commit.

Nothing here is visible to others before `adopt`: a batch stages new states, the caller puts `changes` into
its transaction, and after the commit `adopt` makes them the state. `discard` forgets a batch that was aborted.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from twin_store.dna.binary import (
    Delta,
    apply_delta,
    is_full,
    read_delta,
    read_twin,
    sequence_of,
    write_delta,
    write_twin,
)
from twin_store.dna.twin import Twin
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import (
    GRAVE,
    LINK,
    SLOTS,
    SYMBOLS,
    TWIN,
    customer_of,
    grave_key,
    link_key,
    names_key,
    symbols_key,
    twin_key,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A twin and how many times it was written; `sequence` -1 when it never was."""

    twin: Twin
    sequence: int


NEW = Stored(Twin(), -1)


class TwinStore:
    """Twins, symbols, graves and identity links of one partition."""

    def __init__(self, store: StateStore, hot_max: int = 100_000) -> None:
        self._store = store
        self._hot_max = hot_max
        self._hot: OrderedDict[str, Stored] = OrderedDict()
        self._behind: set[str] = set()
        self._staged: dict[str, Stored] = {}
        self._staged_symbols: dict[int, str] = {}
        self._changes: dict[bytes, bytes | None] = {}
        self._count: int | None = None
        self._staged_count = 0
        self._load_side_tables()

    def _load_side_tables(self) -> None:
        self._symbols: dict[int, str] = {}
        self._blocks = 0
        for _, value in self._store.scan(SYMBOLS):
            self._symbols.update(read_symbols(value))
            self._blocks += 1
        self._graves = {k[1:].decode(): int(v) for k, v in self._store.scan(GRAVE)}
        self._links = {k[1:].decode(): read_link(v) for k, v in self._store.scan(LINK)}

    @property
    def symbols(self) -> dict[int, str]:
        """Strings by key: every sku and visit that this partition's twins hold."""
        return self._symbols

    def get(self, customer_id: str) -> Stored:
        """The twin with what is staged; `NEW` when it is not known."""
        staged = self._staged.get(customer_id)
        if staged is not None:
            return staged
        hot = self._hot.get(customer_id)
        if hot is not None and customer_id not in self._behind:
            self._hot.move_to_end(customer_id)
            return hot
        self._behind.discard(customer_id)
        loaded = self._load(customer_id, hot)
        if loaded is NEW:
            self._hot.pop(customer_id, None)
        else:
            self._keep_hot(customer_id, loaded)
        return loaded

    def erased_until(self, customer_id: str) -> int:
        """Epoch seconds up to which the customer was erased, 0 when never."""
        return self._graves.get(customer_id, 0)

    def forwarded_to(self, anonymous_id: str) -> str | None:
        """The customer an anonymous id became."""
        return self._links.get(anonymous_id, (None, 0))[0]

    def names(self, customer_id: str) -> dict[str, int]:
        """The ids that a customer has claimed, each with the second of her newest record that names it."""
        key = names_key(customer_id)
        record = self._changes[key] if key in self._changes else self._store.get(key)
        return read_names(record) if record is not None else {}

    def stage(self, customer_id: str, before: Stored, twin: Twin, delta: Delta | None) -> None:
        """Stage a twin's next state. `delta` is what turned `before` into it; None writes the twin whole."""
        sequence = before.sequence + 1
        self._staged_count += before.sequence < 0
        if delta is None:
            sequence += -sequence % SLOTS
        if sequence % SLOTS == 0:
            self._changes[twin_key(customer_id, sequence)] = write_twin(twin, sequence)
        else:
            assert delta is not None
            self._changes[twin_key(customer_id, sequence)] = write_delta(delta, sequence)
        self._staged[customer_id] = Stored(twin, sequence)

    def stage_symbols(self, symbols: Mapping[str, int]) -> None:
        """Make sure that these strings can be read back from their keys."""
        fresh = {key: text for text, key in symbols.items() if key not in self._symbols}
        if fresh:
            self._staged_symbols.update(fresh)
            self._symbols.update(fresh)

    def stage_erasure(self, customer_id: str, until_second: int) -> None:
        """Forget a twin and refuse what happened up to `until_second`; and the links and names from up to then."""
        self._staged_count -= self.get(customer_id).sequence >= 0
        for slot in range(SLOTS):
            self._changes[twin_key(customer_id, slot)] = None
        self._changes[grave_key(customer_id)] = str(until_second).encode()
        self._staged[customer_id] = NEW
        self._graves[customer_id] = until_second
        if names := self.names(customer_id):
            newer = {name: second for name, second in names.items() if second > until_second}
            self._changes[names_key(customer_id)] = write_names(newer) if newer else None
        if customer_id in self._links and self._links[customer_id][1] <= until_second:
            self._changes[link_key(customer_id)] = None
            del self._links[customer_id]

    def stage_link(self, anonymous_id: str, customer_id: str, second: int) -> None:
        """Remember that an anonymous id became a customer, as her record of that second, or a newer one, says."""
        second = max(second, self._links.get(anonymous_id, ("", 0))[1])
        self._changes[link_key(anonymous_id)] = write_link(customer_id, second)
        self._links[anonymous_id] = (customer_id, second)

    def stage_name(self, customer_id: str, anonymous_id: str, second: int) -> None:
        """Remember that a customer claims an id, in her record of that second."""
        known = self.names(customer_id)
        if second > known.get(anonymous_id, 0):
            self._changes[names_key(customer_id)] = write_names(known | {anonymous_id: second})

    def stage_records(self, changes: Iterable[Change]) -> None:
        """Stage records that the caller publishes by itself, to be stored with the rest."""
        self._changes.update(changes)

    def changes(self) -> list[Change]:
        """The records of everything staged, for the changelog."""
        if self._staged_symbols:
            self._changes[symbols_key(self._blocks)] = write_symbols(self._staged_symbols)
            self._staged_symbols = {}
            self._blocks += 1
        return list(self._changes.items())

    def adopt(self, position: int) -> None:
        """The transaction that carried `changes` was committed: they are the state now."""
        self._store.apply(self._changes.items(), position)
        for customer_id, stored in self._staged.items():
            if stored is NEW:
                self._hot.pop(customer_id, None)
            else:
                self._keep_hot(customer_id, stored)
        if self._count is not None:
            self._count += self._staged_count
        self._staged, self._staged_count = {}, 0
        self._changes = {}

    def discard(self) -> None:
        """The transaction was aborted: nothing staged has happened."""
        self._staged, self._staged_count = {}, 0
        self._changes = {}
        self._staged_symbols = {}
        self._load_side_tables()

    def replicate(self, records: Iterable[Change], position: int) -> None:
        """Take records of the changelog that another process wrote.

        A decoded twin is brought up to date when it is asked for: most are not, between two changes.
        """
        kept = list(records)
        self._store.apply(kept, position)
        for key, value in kept:
            if key[:1] != TWIN:
                self._take_aside(key, value)
                continue
            customer_id = customer_of(key)
            if value is None:
                self._hot.pop(customer_id, None)  # another life may begin with the same numbers
            elif customer_id in self._hot:
                self._behind.add(customer_id)

    def _take_aside(self, key: bytes, value: bytes | None) -> None:
        kind, name = key[:1], key[1:]
        if kind == SYMBOLS and value is not None:
            self._symbols.update(read_symbols(value))
        elif kind == GRAVE and value is not None:
            self._graves[name.decode()] = int(value)
        elif kind == LINK and value is not None:
            self._links[name.decode()] = read_link(value)
        elif kind == LINK:
            self._links.pop(name.decode(), None)

    def position(self) -> int:
        """The next changelog offset to read."""
        return self._store.position()

    def count(self) -> int:
        """How many twins there are. The first call reads all of them, later ones know what was adopted since.

        Who follows a changelog by `replicate` must not ask.
        """
        if self._count is None:
            self._count = sum(key[-1] == 0 for key, _ in self._store.scan(TWIN))
        return self._count

    def hot_bytes(self) -> int:
        """Bytes of the decoded twins' tables."""
        return sum(stored.twin.nbytes() for stored in self._hot.values())

    def hot_count(self) -> int:
        """How many twins are decoded."""
        return len(self._hot)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _keep_hot(self, customer_id: str, stored: Stored) -> None:
        self._hot[customer_id] = stored
        self._hot.move_to_end(customer_id)
        while len(self._hot) > self._hot_max:
            evicted, _ = self._hot.popitem(last=False)
            self._behind.discard(evicted)

    def _load(self, customer_id: str, known: Stored | None = None) -> Stored:
        """The twin from its records; `known` is an earlier state of it, which saves most of the work."""
        whole = self._store.get(twin_key(customer_id, 0))
        if whole is None or not is_full(whole):
            return NEW
        sequence = sequence_of(whole)
        if known is not None and sequence <= known.sequence < sequence + SLOTS:
            sequence, twin = known.sequence, known.twin
        else:
            twin = read_twin(whole)
        while (sequence + 1) % SLOTS:
            record = self._store.get(twin_key(customer_id, sequence + 1))
            if record is None or sequence_of(record) != sequence + 1:
                break
            twin = apply_delta(twin, read_delta(record))
            sequence += 1
        return Stored(twin, sequence)


def write_symbols(symbols: Mapping[int, str]) -> bytes:
    """Symbols as bytes; the texts are enough, since their keys follow from them."""
    return msgspec.msgpack.encode(symbols)


def read_symbols(data: bytes) -> dict[int, str]:
    """What `write_symbols` wrote."""
    return msgspec.msgpack.decode(data, type=dict[int, str])


def write_link(customer_id: str, second: int) -> bytes:
    """A link as bytes."""
    return msgspec.msgpack.encode((customer_id, second))


def read_link(data: bytes) -> tuple[str, int]:
    """What `write_link` wrote."""
    return msgspec.msgpack.decode(data, type=tuple[str, int])


def write_names(names: Mapping[str, int]) -> bytes:
    """The ids that a customer has claimed as bytes."""
    return msgspec.msgpack.encode(names)


def read_names(data: bytes) -> dict[str, int]:
    """What `write_names` wrote."""
    return msgspec.msgpack.decode(data, type=dict[str, int])
