"""What is promoted at a moment, read from the promotions topic for one question: no more of it than needed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from streams.environment import Environment
from streams.kafka import read_to_end
from streams.settings import Settings
from streams.topics import PROMOTIONS
from twin_store.messages import Promotion
from twin_store.messages.codec import BadMessage, decode, epoch_seconds


class _Head(msgspec.Struct):
    """What tells whether a promotion matters; its thousands of items are skipped, not decoded."""

    kind: str
    starts_at: datetime
    ends_at: datetime
    store_id: str | None = None
    campaign_id: str | None = None


def environment_at(
    settings: Settings, at: int, store_id: str | None, campaign_id: str | None = None
) -> Environment:
    """Displays, mailers and price cuts that hold in a store at epoch second `at`, and one campaign with its coupons.

    Raises `KafkaReadError` if the topic cannot be read.
    """
    parse = msgspec.json.Decoder(_Head).decode
    environment = Environment()
    for message in read_to_end(settings, PROMOTIONS):
        value = message.value()
        try:
            head = parse(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the planner's promotion desk buries bad ones
        if head.kind in ("campaign", "coupon"):
            is_wanted = campaign_id is not None and head.campaign_id == campaign_id
        else:
            holds = epoch_seconds(head.starts_at) <= at < epoch_seconds(head.ends_at)
            is_wanted = holds and head.store_id in (None, store_id)
        if is_wanted:
            try:
                environment.put_promotion(decode(Promotion, value))
            except BadMessage:
                continue
    return environment
