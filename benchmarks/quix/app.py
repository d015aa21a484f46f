"""The rival's program, run by .venv-bench's Python: receipts to twins in Quix Streams, exactly once.

    .venv-bench/bin/python -m benchmarks.quix.app BOOTSTRAP TOPIC STATE_DIR SECONDS

Each customer's twin is one value of JSON state, which Quix reads and writes with orjson; a profile is published for
every receipt, and what a receipt moved travels to the products as one message a shard of them. It ends after so many
seconds, or when nothing has come for a while, and prints what it got done as one JSON object.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import quixstreams
from quixstreams import Application, State
from quixstreams.models.serializers import JSONSerializer
from quixstreams.models.topics import TopicConfig
from quixstreams.state.rocksdb import RocksDBOptions
from quixstreams.utils.json import dumps

from benchmarks.quix.fold import fold, new_twin, product_blocks, profile_of
from benchmarks.quix.products import add, new_product, statistics_of

COMMIT_EVERY_S = 1.0
PRODUCTS_EVERY_S = 5.0
IDLE_S = 5.0
PARTITIONS = 4


class Meter:
    """What has been folded so far, from the first receipt on."""

    def __init__(self) -> None:
        self.lines = 0
        self.receipts = 0
        self.net = 0
        self.started = threading.Event()
        self._began = self._last = (0.0, 0.0)

    def count(self, moved: list[Any]) -> None:
        """A receipt was folded."""
        now = (time.monotonic(), time.process_time())
        if not self.started.is_set():
            self._began = now
            self.started.set()
        self._last = now
        self.receipts += 1
        self.lines += sum(row[0] for _, _, _, row in moved)
        self.net += sum(row[2] for _, _, _, row in moved)

    def found(self) -> dict[str, Any]:
        """The figures."""
        return {
            "version": quixstreams.__version__,
            "receipts": self.receipts,
            "lines": self.lines,
            "cents": self.net,
            "seconds": self._last[0] - self._began[0],
            "cpu_s": self._last[1] - self._began[1],
        }


def application(bootstrap: str, state_dir: str) -> Application:
    """Exactly once, clients set up for throughput as ours are."""
    return Application(
        broker_address=bootstrap,
        consumer_group="quix-twins",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_EVERY_S,
        state_dir=state_dir,
        loglevel="ERROR",
        consumer_extra_config={
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 131_072,
            "fetch.queue.backoff.ms": 10,
        },
        producer_extra_config={
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
        },
        rocksdb_options=RocksDBOptions(use_fsync=False),
    )


def wire(app: Application, topic: str, meter: Meter) -> None:
    """Receipts to profiles, and on to products."""
    shape = TopicConfig(num_partitions=PARTITIONS, replication_factor=1)
    receipts = app.topic(topic, key_deserializer="str", value_deserializer="json")
    profiles = app.topic(
        "quix.profiles",
        key_serializer="str",
        # The serializer takes its part, since a branch of the stream would copy every value.
        value_serializer=JSONSerializer(dumps=lambda told: dumps(told["profile"])),
        config=shape,
    )
    products = app.topic("quix.products", key_serializer="str", value_serializer="json", config=shape)

    def fold_receipt(receipt: dict[str, Any], state: State) -> dict[str, Any] | None:
        twin = state.get("twin") or new_twin()
        moved = fold(twin, receipt)
        if moved is None:
            return None
        state.set("twin", twin)
        meter.count(moved)
        return {"profile": profile_of(receipt["customer_id"], twin), "moved": moved}

    def add_to_products(block: dict[str, Any], state: State) -> list[dict[str, Any]]:
        now = time.time()
        told = []
        for sku, day, store, lines, units, net, _discount, deals in block["rows"]:
            product = state.get(sku) or new_product()
            add(product, day, store, lines, units, net, deals)
            if now - product["told"] >= PRODUCTS_EVERY_S:
                product["told"] = now
                told.append(statistics_of(sku, product))
            state.set(sku, product)
        return told

    folded = app.dataframe(receipts).apply(fold_receipt, stateful=True).filter(lambda told: told is not None)
    folded = folded.to_topic(profiles)
    blocks = folded.apply(lambda told: product_blocks(told["moved"]), expand=True)
    sharded = blocks.group_by(
        lambda block: block["shard"], name="products", key_serializer="str", key_deserializer="str"
    )
    statistics = sharded.apply(add_to_products, stateful=True).apply(lambda told: told, expand=True)
    statistics.to_topic(products, key=lambda product: product["sku"])


def main() -> None:
    """Run and print."""
    bootstrap, topic, state_dir, seconds = sys.argv[1:]
    meter = Meter()
    app = application(bootstrap, state_dir)
    wire(app, topic, meter)

    def stop_in_time() -> None:
        meter.started.wait()
        time.sleep(float(seconds))
        app.stop()

    threading.Thread(target=stop_in_time, daemon=True).start()
    app.run(timeout=IDLE_S, collect=False)
    print(json.dumps(meter.found()))


if __name__ == "__main__":
    main()
