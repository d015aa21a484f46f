"""What receipts say of each product, added up plainly: the truth that published product statistics are held against."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

DAY_S = 86_400
FIRST_MONDAY = 4  # 1970-01-05
STEP = math.log(1.02)  # a price is counted to within 2 %
WEEKS_PUBLISHED = 12
Body = dict[str, Any]


@dataclass
class Row:
    """What stands of one product on one receipt. Units in thousandths, money in minor units."""

    customer_id: str
    sku: str
    week: int
    store_id: str
    lines: int = 0
    units: int = 0
    net: int = 0
    discount: int = 0
    coupon: int = 0
    deal_lines: int = 0
    priced_lines: int = 0


@dataclass
class Product:
    """What stands of one product."""

    weeks: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    """Lines, units, net and deal lines."""
    prices: Counter[int] = field(default_factory=Counter)
    stores: set[str] = field(default_factory=set)

    def published(self) -> dict[str, Any]:
        """As `published` gives what a topic says."""
        newest = sorted(self.weeks)[-WEEKS_PUBLISHED:]
        lines = sum(week[0] for week in self.weeks.values())
        deals = sum(week[3] for week in self.weeks.values())
        return {
            "weeks": {week: self.weeks[week] for week in newest},
            "stores": sorted(self.stores),
            "prices": [_percentile(self.prices, share) for share in (0.1, 0.5, 0.9)],
            "lines": lines,
            "deal_share": round(deals / lines, 4) if lines else 0.0,
        }


def published(message: Body) -> dict[str, Any]:
    """What a message of the products topic says, to be compared."""
    return {
        "weeks": {
            w["week"]: (w["lines"], round(w["units"] * 1000), minor(w["net"]), w["deal_lines"])
            for w in message["weeks"]
        },
        "stores": message.get("stores", []),
        "prices": [message.get(name) for name in ("price_p10", "price_median", "price_p90")],
        "lines": message["lines"],
        "deal_share": message["deal_share"],
    }


def products_of(receipts: Iterable[bytes]) -> dict[str, Product]:
    """Every product that something stands of; receipts as they are published, repeats included."""
    found: dict[str, Product] = defaultdict(Product)
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in standing(receipts):
        if not (row.lines or row.units or row.net):
            continue
        product = found[row.sku]
        week = sums[row.sku, row.week]
        for at, value in enumerate((row.lines, row.units, row.net, row.deal_lines)):
            week[at] += value
        product.weeks[row.week] = tuple(week)  # type: ignore[assignment]
        product.stores |= {row.store_id} - {""}
        shelf = row.net + row.discount + row.coupon
        if row.priced_lines and row.units and shelf / row.units > 0:
            product.prices[math.floor(math.log(shelf * 1000 / row.units) / STEP)] += row.priced_lines
    return dict(found)


def standing(receipts: Iterable[bytes]) -> Iterator[Row]:
    """What stands of each product of each sale, its returns and its void taken back."""
    bodies = {body["transaction_id"]: body for body in map(json.loads, receipts)}
    voided = {b["original_transaction_id"] for b in bodies.values() if b.get("kind") == "void"}
    returned: Counter[tuple[str, str]] = Counter()
    for body in bodies.values():
        if body.get("kind") == "return":
            for line in body["lines"]:
                returned[body["original_transaction_id"], line["sku"]] += round(line["quantity"] * 1000)
    for body in bodies.values():
        if body.get("kind", "sale") == "sale" and body["transaction_id"] not in voided:
            for row in _rows(body):
                yield _left(row, returned[body["transaction_id"], row.sku])


def _rows(body: Body) -> Iterable[Row]:
    seconds = int(datetime.fromisoformat(body["occurred_at"]).timestamp())
    week = (seconds // DAY_S - FIRST_MONDAY) // 7
    rows: dict[str, Row] = {}
    for line in body["lines"]:
        row = rows.setdefault(
            line["sku"], Row(body["customer_id"], line["sku"], week, body.get("store_id") or "")
        )
        discount = minor(line.get("discount"))
        row.lines += 1
        row.units += round(line["quantity"] * 1000)
        row.net += minor(line.get("net"))
        row.discount += discount
        row.coupon += minor(line.get("coupon_discount"))
        row.deal_lines += discount > 0 or bool(line.get("promotion_ids"))
        row.priced_lines += line.get("net") is not None
    return rows.values()


def _left(row: Row, back: int) -> Row:
    """What is left of a row after `back` thousandths were returned."""
    if back <= 0 or row.units <= 0:
        return row
    if back >= row.units:
        return Row(row.customer_id, row.sku, row.week, row.store_id)
    for measure in ("net", "discount", "coupon"):
        value = getattr(row, measure)
        setattr(row, measure, value - (2 * value * back + row.units) // (2 * row.units))  # half up
    row.units -= back
    return row


def _percentile(prices: Counter[int], share: float) -> str | None:
    reached, total = 0, sum(prices.values())
    for bucket in sorted(prices):
        reached += prices[bucket]
        if reached >= total * share:
            return f"{Decimal(round(math.exp((bucket + 0.5) * STEP))).scaleb(-2):.2f}"
    return None


def minor(money: str | None) -> int:
    """Money as whole cents."""
    return int(Decimal(money or "0") * 100)
