"""One partition's state in the updater: its twins, its products, the source positions they include."""

from dataclasses import dataclass, field
from pathlib import Path

from streams.settings import Settings
from streams.updater.products import ProductLane
from streams.updater.recovery import remove_if_old, restore
from twin_store.store.rocks import RocksStore
from twin_store.store.twins import TwinStore


@dataclass
class PartitionState:
    """What belongs to partition p.

    `positions` are next offsets by topic name, for the profiles: those committed, and those of the batch in the making.
    """

    number: int
    twins: TwinStore
    products: ProductLane
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    staged_positions: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, number: int) -> "PartitionState":
        """Open the partition's folder and bring it up to the end of its changelog."""
        folder = partition_folder(settings, number)
        remove_if_old(folder)
        store = RocksStore(folder)
        try:
            restore(settings, number, store)
            twins = TwinStore(store, settings.state_hot_twins_max)
            twins.count()  # takes a while the first time: not while receipts wait
            return cls(number, twins, ProductLane(settings, number, store))
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        self.twins.close()


def partition_folder(settings: Settings, number: int) -> Path:
    """Where a partition's RocksDB lives."""
    return settings.data_dir / "state" / f"{settings.topic_prefix}updater-{number}"
