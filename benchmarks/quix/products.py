"""What all receipts say of each product: the second hop of the rival, a dictionary a sku."""

from __future__ import annotations

import math
from typing import Any

WEEKS_KEPT = 26
PRICE_STEP = math.log(1.02)

Product = dict[str, Any]


def new_product() -> Product:
    """Of a sku that has not been sold."""
    return {"weeks": {}, "prices": {}, "stores": {}, "told": 0.0}


def add(product: Product, day: int, store: str, lines: int, units: int, net: int, deals: int) -> None:
    """One row of a receipt."""
    week = str(day // 7)
    weekly = product["weeks"].setdefault(week, [0, 0, 0, 0])
    for measure, value in enumerate((lines, units, net, deals)):
        weekly[measure] += value
    if units > 0 and net > 0:
        bucket = str(round(math.log(1000 * net / units) / PRICE_STEP))
        product["prices"][bucket] = product["prices"].get(bucket, 0) + lines
    product["stores"][store] = product["stores"].get(store, 0) + lines
    while len(product["weeks"]) > WEEKS_KEPT:
        del product["weeks"][min(product["weeks"], key=int)]


def statistics_of(sku: str, product: Product) -> dict[str, Any]:
    """What is published of a product."""
    sold = sum(product["prices"].values())
    median, below = 0.0, 0
    for bucket in sorted(product["prices"], key=int):
        below += product["prices"][bucket]
        if 2 * below >= sold:
            median = math.exp(int(bucket) * PRICE_STEP) / 100
            break
    return {
        "sku": sku,
        "lines": sum(week[0] for week in product["weeks"].values()),
        "price_median": round(median, 2),
        "weeks": product["weeks"],
        "stores": sorted(product["stores"]),
    }
