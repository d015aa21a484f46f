"""A small town for the worker with a real engine: its receipts on Kafka, a base that reads prompts, questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, PROFILES, TRANSACTIONS
from streams.updater import process as updater
from tests.streams.models import publish_model
from tests.streams.queries import all_kinds, query
from tests.streams.running import eventually, running
from tests.trainer.small_town import ALL_SKUS, Town
from tests.trainer.vllm.shop_model import make_shop_base
from trainer.base_model import BaseModel
from twin_store.messages import Query, Transaction
from twin_store.messages.codec import epoch_seconds

SEED = 19  # of weights whose answers are far apart, and which write something
FOLD_S = 600.0  # what folds is compiled first where this Python has not been here before
GOLDEN_PROMPTS = Path(__file__).parent.parent.parent / "golden" / "prompts"
TOPIC_OF = {"catalog": CATALOG, "transactions": TRANSACTIONS}


def make_town_base(folder: Path) -> BaseModel:
    """A small base with opinions whose tokenizer knows the words of prompts, so that these are not too long for it."""
    told = [line for path in sorted(GOLDEN_PROMPTS.glob("*.txt")) for line in path.read_text().splitlines()]
    return make_shop_base(folder, SEED, told * 20)


def settle_town(settings: Settings, town: Town) -> dict[str, int]:
    """Publish the town's receipts and have them folded; the last second of each customer."""
    apply_topics(settings)
    last: dict[str, int] = {}
    with Publisher(settings) as publisher:
        for table, key, message in town.messages():
            if table in TOPIC_OF:
                publisher.publish(TOPIC_OF[table], key.encode(), message.to_wire())
            if isinstance(message, Transaction):
                last[key] = epoch_seconds(message.occurred_at)
    publish_model(settings)
    with running(lambda stop: updater.run(settings, stop)):
        eventually(
            lambda: {(m.key() or b"").decode() for m in read_to_end(settings, PROFILES)} == set(last),
            "the profiles",
            timeout_s=FOLD_S,
        )
    return last


def questions(last: dict[str, int], tag: str) -> Iterator[Query]:
    """Seven queries of all kinds about one customer, then about the next, over and over."""
    number = 0
    while True:
        for customer, second in sorted(last.items()):
            skus = [ALL_SKUS[(number * 7 + step * 5) % len(ALL_SKUS)] for step in range(5)]
            found = all_kinds(customer, second, skus)
            found.append(
                query(customer, second, "survey", statement="Fair prices.", scale=["no", "so so", "yes"])
            )
            found.append(query(customer, second, "review", candidates=skus[:1]))
            for each in found:
                number += 1
                yield each.model_copy(
                    update={
                        "query_id": f"{tag}-{number}",
                        "deadline": each.raised_at.replace(year=each.raised_at.year + 1),
                    }
                )
