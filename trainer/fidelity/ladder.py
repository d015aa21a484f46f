"""The B-hard ladder (LBM, 2026): how much has to be seen for a hard negative to be told from what was bought.

Each step answers the purchase cases two at a time: one bought, one not, of the same case. The share answered right is
reported; a guess gets half.

v1 sees nothing of the customer. v2 sees names: how many words the product shares with those she has bought. v3 sees one
legible line, how often she bought it, from what was before the decision. v4 is adversarial: pairs of which the product
bought is new to her and the other is not, or is as frequent with her, answered with all of the evidence.
"""

import re
from typing import Any

import numpy as np

from trainer.fidelity.baselines.base import SheetScorer
from trainer.fidelity.bootstrap import Draws, middle
from trainer.fidelity.known import Known
from trainer.fidelity.sheets import Sheet
from twin_store.dna.layout import C_LINES, C_SKU
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.symbols import key_of

_WORD = re.compile(r"[A-Za-z]{3,}")


def climb(known: Known, sheet: Sheet, scorer: SheetScorer, seed: int) -> list[dict[str, Any]]:
    """By step the share of pairs answered right, with its interval by customer."""
    days = sheet.evidence[:, EVIDENCE_NAMES[sheet.kind].index("item_days")]
    p = scorer.probabilities(sheet)
    pairs = pairs_of(sheet)
    if p is None or not len(pairs):
        return []
    hard = days[pairs[:, 0]] <= days[pairs[:, 1]]
    steps = [
        ("v1", "nothing of the customer", np.zeros(len(sheet)), pairs),
        ("v2", "names like those she bought", _name_likeness(known, sheet), pairs),
        ("v3", "one line: how often she bought it", days, pairs),
        ("v4", "adversarial pairs, all of the evidence", p, pairs[hard]),
        ("all", "all pairs, all of the evidence", p, pairs),
    ]
    found = []
    for name, seen, scores, chosen in steps:
        right = _right(scores, chosen)
        draws = Draws(sheet.customers[chosen[:, 0]], seed)
        interval = middle(draws.means(right, np.ones(len(right))))
        found.append(
            {
                "step": name,
                "seen": seen,
                "pairs": len(chosen),
                "right": float(right.mean()) if len(right) else float("nan"),
                "interval": list(interval),
            }
        )
    return found


def pairs_of(sheet: Sheet) -> np.ndarray:
    """Rows (bought, not bought) of the same case, each row in one pair at most: int64 [n, 2]."""
    found = []
    bounds = np.searchsorted(sheet.cases, np.arange(len(sheet.asked) + 1))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = np.arange(low, high)
        bought, others = rows[sheet.labels[rows] == 1], rows[sheet.labels[rows] == 0]
        count = min(len(bought), len(others))
        found.append(np.stack((bought[:count], others[:count]), axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)


def _right(scores: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    first, second = scores[pairs[:, 0]], scores[pairs[:, 1]]
    return np.asarray((first > second) + 0.5 * (first == second))


def _name_likeness(known: Known, sheet: Sheet) -> np.ndarray:
    """Of the words of a product's name, how often each stood on her receipts, the rarest word counting: [n]."""
    catalogue = known.products_at(sheet.asked[0].as_of).catalogue
    out = np.zeros(len(sheet))
    words: dict[int, frozenset[str]] = {}

    def words_of(key: int) -> frozenset[str]:
        if key not in words:
            words[key] = frozenset(_WORD.findall(catalogue.name_of(key) or ""))
        return words[key]

    for i, twin in known.replay.twins(sheet.asked):
        bought: dict[str, int] = {}
        for key in np.unique(twin.cells[twin.cells[:, C_LINES] > 0, C_SKU]).tolist():
            for word in words_of(key):
                bought[word] = bought.get(word, 0) + 1
        low = int(np.searchsorted(sheet.cases, i))
        for place, sku in enumerate(sheet.asked[i].subject.candidates):
            mine = words_of(key_of(sku))
            out[low + place] = min((bought.get(word, 0) for word in mine), default=0)
    return out
