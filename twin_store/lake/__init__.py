"""The event lake: every Kafka record once, as Parquet by event day and customer bucket, on any fsspec URL.

`Lake` reads, `LakeWriter` writes, `compact` and `erase` make the next generation. See `manifest` for how a
record comes to be there exactly once.
"""

from twin_store.lake.layout import TABLES, Table, bucket_of, table_of
from twin_store.lake.maintenance import GRACE_S, Maintained, compact, erase
from twin_store.lake.manifest import DataFile, LakeFormat, LakeLog, LakeState, Reach, Source
from twin_store.lake.reader import Lake, LakeEvent
from twin_store.lake.storage import LakeError, Storage
from twin_store.lake.summary import LakeSummary, TableSummary, summarise
from twin_store.lake.writer import Flushed, LakeWriter

__all__ = [
    "GRACE_S",
    "TABLES",
    "DataFile",
    "Flushed",
    "Lake",
    "LakeError",
    "LakeEvent",
    "LakeFormat",
    "LakeLog",
    "LakeState",
    "LakeSummary",
    "LakeWriter",
    "Maintained",
    "Reach",
    "Source",
    "Storage",
    "Table",
    "TableSummary",
    "bucket_of",
    "compact",
    "erase",
    "summarise",
    "table_of",
]
