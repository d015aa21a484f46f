"""One customer's rows as drafts of sales, returns and voids.

A receipt is taken whole or not at all: one bad row rejects its other rows too, because a second message with
the same transaction id would count as a repeat and be dropped. A return that does not name its sale takes from
the customer's newest earlier sales in the file that still hold the sku.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from streams.sources.ingest.rejects import Reject

Row = dict[str, Any]
"""One line: what `rows.ROW_COLUMNS` lists."""


@dataclass
class Draft:
    """One message to be: its rows, one a line, and the receipt it takes back from."""

    kind: str
    transaction_id: str
    rows: list[Row]
    original: str | None = None

    def __post_init__(self) -> None:
        self.at: int = min(row["occurred_at"] for row in self.rows)  # microseconds since 1970


def drafts_of(rows: Iterable[Row], rejects: list[Reject]) -> list[Draft]:
    """The drafts of one customer, whose rows come by `key`; rows that cannot be used go to `rejects`."""
    drafts: list[Draft] = []
    returns: list[Row] = []
    for key, of_receipt in groupby(rows, key=itemgetter("key")):
        lines = list(of_receipt)
        if any(row["bad"] for row in lines):
            rejects += _whole_receipt(key, lines)
            continue
        sold = [row for row in lines if row["kind"] == "sale"]
        if sold:
            drafts.append(Draft("sale", key, sold))
        drafts += _voids(key, [row for row in lines if row["kind"] == "void"], bool(sold))
        returns += [row for row in lines if row["kind"] == "return"]
    return drafts + _returns(drafts, returns, rejects) if returns else drafts


def _whole_receipt(key: str, lines: list[Row]) -> Iterator[Reject]:
    """The good rows of a receipt with a bad one; what is wrong with that one has been said."""
    bad = {row["row"] for row in lines if row["bad"]}
    for number in sorted({row["row"] for row in lines} - bad):
        yield Reject(number, f"is of receipt {key}, which has an error in row {min(bad)}")


def _voids(key: str, rows: list[Row], sold: bool) -> Iterator[Draft]:
    """One draft a receipt that is voided: the one that is named, else the one with the same id."""
    originals = dict.fromkeys(row["original_transaction_id"] or key for row in rows)
    for number, original in enumerate(originals, 1):
        alone = len(originals) == 1 and original != key and not sold
        group = [row for row in rows if (row["original_transaction_id"] or key) == original]
        yield Draft("void", key if alone else f"{key}-void-{number}", group, original)


def _returns(drafts: list[Draft], rows: list[Row], rejects: list[Reject]) -> list[Draft]:
    """One draft for each receipt that a return takes from."""
    shelf = _Shelf(drafts)
    parts: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=itemgetter("occurred_at", "row", "item")):
        takes = shelf.take(row)
        if not takes:
            what = f"returns {row['quantity']:g} of {row['sku']}"
            rejects.append(Reject(row["row"], f"{what}, more than earlier sales in this file; name its sale"))
        for original, quantity in takes:
            parts[row["key"]][original].append(_share(row, quantity))
    ids = {draft.transaction_id for draft in drafts}
    found = []
    for key, by_original in parts.items():
        # An id of its own, or the message would look like its own sale come twice.
        alone = len(by_original) == 1 and key not in ids and key not in by_original
        for number, (original, group) in enumerate(by_original.items(), 1):
            found.append(Draft("return", key if alone else f"{key}-return-{number}", group, original))
    return found


def _share(row: Row, quantity: float) -> Row:
    """The part of a return row that goes to one sale."""
    if quantity == row["quantity"]:
        return row
    net = row["net"]
    share = None if net is None else round(net * quantity / row["quantity"])
    return row | {"quantity": quantity, "net": share}


@dataclass
class _Sold:
    """A sale of a sku, and how much of it is left to return."""

    transaction_id: str
    at: int
    left: float


class _Shelf:
    """What one customer has bought and not yet brought back, by sku, in time order."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        self._sold: dict[str, list[_Sold]] = defaultdict(list)
        for draft in sorted((draft for draft in drafts if draft.kind == "sale"), key=attrgetter("at")):
            for row in draft.rows:
                self._sold[row["sku"]].append(_Sold(draft.transaction_id, draft.at, row["quantity"]))

    def take(self, row: Row) -> list[tuple[str, float]]:
        """(transaction id, quantity) of each sale that a return row takes from.

        A sale that the row names need not be in the file. Without a name: nothing if all earlier sales of the sku
        together do not suffice.
        """
        named = row["original_transaction_id"]
        pairs = []
        missing = row["quantity"]
        for sold in reversed(self._sold[row["sku"]]):
            if missing and (sold.transaction_id == named if named else sold.at <= row["occurred_at"]):
                quantity = min(sold.left, missing)
                missing = round(missing - quantity, 3)
                pairs.append((sold, quantity))
        if named is None and missing:
            return []
        takes: dict[str, float] = {}
        for sold, quantity in pairs:
            sold.left = round(sold.left - quantity, 3)
            if quantity:
                takes[sold.transaction_id] = round(takes.get(sold.transaction_id, 0.0) + quantity, 3)
        return list(takes.items()) if named is None else [(named, row["quantity"])]
