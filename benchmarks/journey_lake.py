"""The Complete Journey data set as an event lake, written as the lake's own process would, without Kafka between."""

from datetime import datetime
from pathlib import Path

from streams.sources.complete_journey import CompleteJourney
from streams.topics import CATALOG, CUSTOMERS, PROMOTIONS, TRANSACTIONS
from twin_store.lake import Lake, LakeFormat, LakeLog, LakeWriter, Storage, bucket_of, table_of

BUCKETS = 4
TOPICS = (CATALOG, CUSTOMERS, PROMOTIONS, TRANSACTIONS)


def journey_lake(
    folder: Path, until: datetime | None = None, customers: int | None = None, displays: bool = True
) -> Lake:
    """A lake in `folder`, which must not hold one yet, of what happened before `until`."""
    log = LakeLog(Storage(str(folder)))
    log.establish(LakeFormat(buckets=BUCKETS, currency="USD"))
    tables = {topic.name: table for topic in TOPICS if topic.message and (table := table_of(topic.message))}
    writer = LakeWriter(log, tables)
    writer.assign([(topic.name, bucket) for topic in TOPICS for bucket in range(BUCKETS)])
    offsets: dict[tuple[str, int], int] = {}
    for record in CompleteJourney().records(until=until, customers=customers, displays=displays):
        source = record.topic.name, bucket_of(record.key.decode(), BUCKETS)
        offset = offsets.get(source, 0)
        offsets[source] = offset + 1
        writer.append(*source, offset, float(record.at_seconds), record.key, record.value)
        if writer.is_due():
            writer.flush()
    writer.flush()
    return Lake(str(folder))
