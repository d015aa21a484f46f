"""The twin as a dictionary, one receipt at a time: what Quix keeps as JSON under each customer.

It keeps what ours keeps: receipts once by their id, cells by sku and day, visits by store and week, hours and weekdays,
receipts of the last 105 days line by line so that a return takes back what its sale put in. Sections and brands are
left out of its profile, which spares it the catalogue.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zlib import crc32

DAY_S = 86_400
OPEN_DAYS = 105
CELL_DAYS = 7 * 53 + OPEN_DAYS
SWEEP_DAYS = 28
REGULAR_DAYS = 3
RECENT_DAYS = 28
STORES_MAX = 5
PRODUCT_SHARDS = 4
FIRST_MONDAY = 4

Twin = dict[str, Any]
Row = list[int]
"""Lines, units in thousandths, net, discount and lines on a deal."""


def new_twin() -> Twin:
    """Of a customer who has not been seen."""
    return {
        "open": {},  # by transaction id: second, store, week, and its rows by sku
        "early": {},  # returns and voids that came before their sale, by its id
        "cells": {},  # by sku and day
        "visits": {},  # by store and week: receipts, lines, net
        "hours": [0] * 24,
        "weekdays": [0] * 7,
        "totals": [0, 0, 0, 0, 0],
        "receipts": 0,
        "returned": 0,
        "first": 0,
        "last": 0,
    }


def fold(twin: Twin, receipt: dict[str, Any]) -> list[tuple[str, int, str, Row]] | None:
    """Put a receipt in; what it moved as (sku, day, store, row), or None if it was there already."""
    if receipt["transaction_id"] in twin["open"]:
        return None
    at = int(datetime.fromisoformat(receipt["occurred_at"]).timestamp())
    twin["first"] = min(twin["first"] or at, at)
    twin["last"] = max(twin["last"], at)
    _forget(twin, twin["last"] // DAY_S)
    store = receipt.get("store_id") or ""
    rows = _rows(receipt["lines"])
    if receipt["kind"] == "sale":
        moved = _put_in(twin, receipt["transaction_id"], at, store, rows)
        for kind, taken in twin["early"].pop(receipt["transaction_id"], ()):
            moved += _take_back(twin, receipt["transaction_id"], kind, taken)
        return moved
    twin["open"][receipt["transaction_id"]] = [at, store, "", {}]
    original = receipt["original_transaction_id"]
    if original not in twin["open"]:
        twin["early"].setdefault(original, []).append((receipt["kind"], rows))
        return []
    return _take_back(twin, original, receipt["kind"], rows)


def profile_of(customer: str, twin: Twin) -> dict[str, Any]:
    """What is published after every receipt."""
    lines, units, net, discount, deals = twin["totals"]
    today = twin["last"] // DAY_S
    visits = twin["visits"]
    stores = {store: sum(visit[0] for visit in weeks.values()) for store, weeks in visits.items()}
    recent = sum(
        visit[2]
        for weeks in visits.values()
        for week, visit in weeks.items()
        if int(week) > today - RECENT_DAYS
    )
    return {
        "customer_id": customer,
        "activity": {
            "receipts": twin["receipts"],
            "lines": lines,
            "units": units / 1000,
            "spend": f"{net / 100:.2f}",
            "returned_lines": twin["returned"],
            "first_seen": twin["first"],
            "last_seen": twin["last"],
        },
        "basket": {"mean_lines": round(lines / max(1, twin["receipts"]), 2)},
        "regulars": _regulars(twin["cells"], today),
        "promotion": {"deal_lines": deals, "discount_share": round(discount / max(1, net + discount), 4)},
        "timing": {"by_hour": twin["hours"], "by_weekday": twin["weekdays"]},
        "stores": dict(sorted(stores.items(), key=lambda item: -item[1])[:STORES_MAX]),
        "spend_last_4_weeks": f"{recent / 100:.2f}",
    }


def _regulars(cells: dict[str, dict[str, Row]], today: int) -> list[dict[str, Any]]:
    regulars = []
    for sku, days in cells.items():
        if len(days) >= REGULAR_DAYS:
            first, last = int(min(days)), int(max(days))  # as texts: all have five digits
            interval = (last - first) / (len(days) - 1)
            due = round((today - last) / interval, 3)
            regulars.append({"sku": sku, "days": len(days), "interval_days": round(interval, 2), "due": due})
    return regulars


def _rows(lines: list[dict[str, Any]]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for line in lines:
        row = rows.setdefault(line["sku"], [0, 0, 0, 0, 0])
        discount = round(100 * float(line.get("discount") or 0))
        row[0] += 1
        row[1] += round(1000 * line["quantity"])
        row[2] += round(100 * float(line.get("net") or 0))
        row[3] += discount
        row[4] += discount > 0 or bool(line.get("promotion_ids"))
    return rows


def _put_in(
    twin: Twin, transaction: str, at: int, store: str, rows: dict[str, Row]
) -> list[tuple[str, int, str, Row]]:
    day = at // DAY_S
    week = str(day - (day - FIRST_MONDAY) % 7)
    twin["open"][transaction] = [at, store, week, rows]
    twin["visits"].setdefault(store, {}).setdefault(week, [0, 0, 0])
    _count_trip(twin, at, store, week, 1)
    for sku, row in rows.items():
        _add(twin, sku, day, store, week, row)
    return [(sku, day, store, row) for sku, row in rows.items()]


def _take_back(
    twin: Twin, transaction: str, kind: str, taken: dict[str, Row]
) -> list[tuple[str, int, str, Row]]:
    at, store, week, rows = twin["open"][transaction]
    day = at // DAY_S
    moved = []
    for sku in list(rows) if kind == "void" else [sku for sku in taken if sku in rows]:
        sold = rows[sku]
        part = 1.0 if kind == "void" or not sold[1] else min(1.0, taken[sku][1] / sold[1])
        back = [-(sold[0] if part == 1.0 else 0), *(-round(part * value) for value in sold[1:4])]
        back.append(-(sold[4] if part == 1.0 else 0))
        rows[sku] = [have + gone for have, gone in zip(sold, back, strict=True)]
        twin["returned"] += kind == "return" and part == 1.0
        _add(twin, sku, day, store, week, back)
        moved.append((sku, day, store, back))
    if kind == "void":
        _count_trip(twin, at, store, week, -1)
    return moved


def _count_trip(twin: Twin, at: int, store: str, week: str, sign: int) -> None:
    twin["receipts"] += sign
    twin["hours"][at % DAY_S // 3_600] += sign
    twin["weekdays"][(at // DAY_S - FIRST_MONDAY) % 7] += sign
    twin["visits"][store][week][0] += sign


def _add(twin: Twin, sku: str, day: int, store: str, week: str, row: Row) -> None:
    cell = twin["cells"].setdefault(sku, {}).setdefault(str(day), [0, 0, 0, 0, 0])
    totals = twin["totals"]
    for measure, value in enumerate(row):
        cell[measure] += value
        totals[measure] += value
    visit = twin["visits"][store][week]
    visit[1] += row[0]
    visit[2] += row[2]


def _forget(twin: Twin, today: int) -> None:
    """Close receipts that nothing can change any more; once in a while, drop what no window reads."""
    opened = twin["open"]
    while opened and opened[oldest := next(iter(opened))][0] // DAY_S <= today - OPEN_DAYS:
        del opened[oldest]
    if today - twin.get("swept", today) < SWEEP_DAYS:
        twin.setdefault("swept", today)
        return
    twin["swept"] = today
    for table in (twin["cells"], twin["visits"]):
        for key, days in list(table.items()):
            for day in [day for day in days if int(day) <= today - CELL_DAYS]:
                del days[day]
            if not days:
                del table[key]


def product_blocks(moved: list[tuple[str, int, str, Row]]) -> list[dict[str, Any]]:
    """What a receipt moved as one block for each shard of the products, which spares a message a line."""
    blocks: dict[int, list[list[Any]]] = {}
    for sku, day, store, row in moved:
        blocks.setdefault(crc32(sku.encode()) % PRODUCT_SHARDS, []).append([sku, day, store, *row])
    return [{"shard": str(shard), "rows": rows} for shard, rows in blocks.items()]
