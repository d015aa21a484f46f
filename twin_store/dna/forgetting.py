"""Forgetting a part of a twin: what an erasure leaves, and what is handed over to another id."""

from dataclasses import replace

import numpy as np

from twin_store.dna.layout import (
    H_FIRST_SECOND,
    H_OWN_CLICK_SECOND,
    H_OWN_SECOND,
    K_EVENT,
    K_SECOND,
    R_SECOND,
    R_TXN,
)
from twin_store.dna.twin import Twin, absorb_clicks, absorb_receipts, fold_about


def after(twin: Twin, until_second: int) -> Twin:
    """The twin of what happened after `until_second`: of all of it, or as far as it is kept line by line."""
    beginnings = (int(twin.head[H_FIRST_SECOND]), twin.about_second)
    if all(second > until_second for second in beginnings if second):
        return twin
    about = (twin.about, twin.about_second) if twin.about_second > until_second else (b"", 0)
    receipts, clicks = twin.receipts[:, R_SECOND] > until_second, twin.clicks[:, K_SECOND] > until_second
    own = (int(second) for second in twin.head[[H_OWN_SECOND, H_OWN_CLICK_SECOND]])
    kept = _of(twin.receipts[receipts], twin.clicks[clicks], *about)
    return replace(
        kept, head=_with_own(kept.head, *(second if second > until_second else 0 for second in own))
    )


def without(twin: Twin, part: Twin) -> Twin:
    """The twin but for the events of `part`; as it is, unless all it has is kept line by line."""
    if len(np.unique(twin.receipts[:, R_TXN])) + len(twin.clicks) < twin.events_folded:
        return twin
    receipts = ~np.isin(twin.receipts[:, R_TXN], part.receipts[:, R_TXN])
    clicks = ~np.isin(twin.clicks[:, K_EVENT], part.clicks[:, K_EVENT])
    if receipts.all() and clicks.all():
        return twin
    kept = _of(twin.receipts[receipts], twin.clicks[clicks], twin.about, twin.about_second)
    return replace(kept, head=_with_own(kept.head, twin.head[H_OWN_SECOND], twin.head[H_OWN_CLICK_SECOND]))


def nameless(twin: Twin) -> Twin:
    """The twin's events alone, for another id: that has a Customer message of its own, and events of its own."""
    return replace(twin, head=_with_own(twin.head, 0, 0), about=b"", about_second=0)


def _with_own(head: np.ndarray, second: int, click_second: int) -> np.ndarray:
    changed = head.copy()
    changed[H_OWN_SECOND], changed[H_OWN_CLICK_SECOND] = second, click_second
    return changed


def _of(receipts: np.ndarray, clicks: np.ndarray, about: bytes, about_second: int) -> Twin:
    twin = absorb_clicks(absorb_receipts(Twin(), receipts), clicks)
    return fold_about(twin, about, about_second)
