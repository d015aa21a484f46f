"""Forgetting customers: which rows of the lake an erasure takes away, and the other names she went by."""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin_store.lake.files import subjects_of
from twin_store.lake.layout import CLICKS, CUSTOMERS, ERASABLE, MICROSECONDS_PER_DAY, TABLES, Table, bucket_of
from twin_store.lake.manifest import DataFile, LakeState
from twin_store.lake.storage import Storage
from twin_store.messages import Customer
from twin_store.messages.codec import decode

Erasures = Mapping[str, int]
"""Customer or anonymous id to the instant, in epoch microseconds, up to which she is forgotten."""


def union(first: Erasures, second: Erasures) -> dict[str, int]:
    """Both, with the later instant where both name somebody."""
    return {**first, **{who: max(until, first.get(who, until)) for who, until in second.items()}}


def rows_kept(table: Table, rows: pa.Table, erasures: Erasures) -> np.ndarray:
    """Which of `rows` (its subject and time columns at least) the erasures leave, as booleans."""
    subjects = subjects_of(table, rows).to_pylist()
    at = rows[table.at].cast(pa.int64()).to_numpy()
    limits = np.array([-1 if who is None else erasures.get(who, -1) for who in subjects], dtype=np.int64)
    return np.asarray(at > limits)


def doubtful_files(state: LakeState, buckets: int) -> Iterable[tuple[DataFile, Erasures]]:
    """The files that may hold what is erased, each with the erasures to apply.

    A file of the generation was cleaned of what the generation knew; a later one may hold anything.
    """
    tables = {table.name for table in ERASABLE}
    old = {file.path for file in state.generation.files}
    for erasures, files in (
        (state.pending_erasures, state.generation.files),
        (state.erasures, [file for file in state.files if file.path not in old]),
    ):
        latest: dict[int, int] = {}
        for who, until in erasures.items():
            bucket = bucket_of(who, buckets)
            latest[bucket] = max(until // MICROSECONDS_PER_DAY, latest.get(bucket, 0))
        for file in files:
            if file.table in tables and file.day <= latest.get(file.bucket, -1):
                yield file, erasures


def holds_erased(storage: Storage, file: DataFile, erasures: Erasures) -> bool:
    """Whether a file has a row that the erasures forbid. Reads two or three of its columns."""
    table = TABLES[file.table]
    return not rows_kept(table, storage.read_table(file.path, [*table.subject, table.at]), erasures).all()


def with_other_names(storage: Storage, state: LakeState, buckets: int, erasures: Erasures) -> dict[str, int]:
    """The erasures and, up to the same instants, those of the anonymous ids that belong to the customers.

    An id is hers if her own record names it or if she signed in under it.
    """
    found: dict[str, int] = dict(erasures)
    wanted = {bucket_of(who, buckets) for who in erasures}
    for file in state.files:
        if file.bucket in wanted and file.table in (CUSTOMERS.name, CLICKS.name):
            for who, alias in _aliases(storage, file, erasures):
                found = union(found, {alias: erasures[who]})
    return found


def _aliases(storage: Storage, file: DataFile, erasures: Erasures) -> Iterable[tuple[str, str]]:
    """(customer, anonymous id) pairs that a file knows of the customers to erase."""
    other = "anonymous_id" if file.table == CLICKS.name else "value"
    rows = storage.read_table(file.path, ["customer_id", other])
    rows = rows.filter(pc.is_in(rows["customer_id"], pa.array(list(erasures), pa.string())))
    for who, value in zip(rows["customer_id"].to_pylist(), rows[other].to_pylist(), strict=True):
        if file.table == CUSTOMERS.name:
            yield from ((who, alias) for alias in decode(Customer, value.encode()).anonymous_ids)
        elif value is not None:
            yield who, value
