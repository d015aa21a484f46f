"""The promotions that customers met at a moment, from a history that ends there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.errors import UsageError
from trainer.tasks.history import History
from trainer.tasks.shelves import DISPLAY, MAILER, holds
from twin_store.messages import ProductContext
from twin_store.messages.codec import instant_of
from twin_store.messages.decisions import Subject
from twin_store.symbols import key_of


def campaign_then(history: History, campaign_id: str) -> Subject:
    """What a voucher question about a campaign is about. Raises `UsageError` if none of this name had started."""
    rows = history.campaigns.filter(history.campaigns["campaign_id"] == campaign_id).to_dicts()
    if not rows:
        raise UsageError(f"no campaign {campaign_id!r} had started by then")
    row = rows[-1]
    return Subject(
        campaign_id=campaign_id,
        campaign_type=row["campaign_type"],
        voucher_skus=row["voucher_skus"] or [],
        ends_at=instant_of(row["ends"]),
    )


def shelves_then(history: History, skus: Sequence[str], store: str | None, at: int) -> list[ProductContext]:
    """What was on display and in the mailer of a store."""
    keys = np.array([key_of(sku) for sku in skus], dtype=np.int64)
    display, mailer = (holds(history.shelves.promoted(kind, store, at), keys) for kind in (DISPLAY, MAILER))
    flags = zip(skus, display.tolist(), mailer.tolist(), strict=True)
    return [
        ProductContext(sku=sku, display=on_display, mailer=in_mailer) for sku, on_display, in_mailer in flags
    ]
