"""Which segment a twin is in, and when it moved: a fold of `step` over the last ends of periods.

Nothing is remembered: the segment at a moment is worked out from the twin's tables alone, so a live process, a restart
and a recompute from the lake agree. Memberships change at the ends of periods (`numbers.PERIOD_DAYS`) only, but for
one thing that may come at any time: what the retailer says of her life stage.

What that costs. The fold begins without a segment `memory` ends ago, so hysteresis reaches no further back. Who
came in at `enter` and has stayed between `leave` and `enter` ever since is let go at the `memory`-th end after the
last one at which she was at `enter`: one move that no threshold explains. Who never comes back to `enter` moves so
once; who wanders about `enter` itself must miss it `memory` times in a row to move at all.

Its bounds. The tables are rewound to the end of the newest period that is over, with the limits of
`twin_store.dna.twin.rewind`: exact while what came after is at most `LATE_DAYS` old, and for a twin that has moved on
by at most `RECEIPT_DAYS` but for returns of sales that were closed since. A twin keeps one Customer message, the
newest: its life stage is taken for all ends of the fold.
"""

from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numba import njit

from twin_store.catalogue import Catalogue, CatalogueTables
from twin_store.dna.layout import H_FIRST_SECOND
from twin_store.dna.profile import LIFE_STAGE_KEYS
from twin_store.dna.receipts import has_reversal
from twin_store.dna.twin import Twin, rewind
from twin_store.segments.definitions import Definitions, Rules
from twin_store.segments.numbers import N_TENURE, NEEDS_CATALOGUE, end_of, last_period, numbers_at

NOWHERE = -1  # before the first step of a fold
# Without a row, so that nothing is looked up in them.
_NO_PRODUCTS = CatalogueTables(*(table[:0] for table in Catalogue().tables()))


class Move(NamedTuple):
    """A twin changed its segment: `segment_of` says `to_segment` from `second` (epoch seconds) on."""

    second: int
    from_segment: str
    to_segment: str


def segment_of(twin: Twin, as_of: int, definitions: Definitions, catalogue: Catalogue | None = None) -> str:
    """The name of the twin's segment as of an epoch second.

    Args:
        catalogue: needed where the definitions read a number that only it knows (`needs_catalogue`); such segments
            follow from the twin and the catalogue as it stands.

    Raises:
        ValueError: it is needed and not given.
    """
    products = _products(definitions, catalogue)
    is_open = definitions.open_to(_life_stage(twin, as_of))
    return definitions.names[_number_of(twin, last_period(as_of), definitions, products, is_open)]


def moves(
    twin: Twin, after: int, until: int, definitions: Definitions, catalogue: Catalogue | None = None
) -> list[Move]:
    """The moves in (`after`, `until`], epoch seconds, in order of time; all with the life stage as of `until`.

    A life stage that changed in between is no move here: the twin does not keep the one before. Raises as
    `segment_of`.
    """
    products = _products(definitions, catalogue)
    first, last = last_period(after), last_period(until)
    found: list[Move] = []
    if last <= first:
        return found
    is_open = definitions.open_to(_life_stage(twin, until))
    if has_reversal(twin.receipts):
        segments = [
            _number_of(twin, period, definitions, products, is_open) for period in range(first, last + 1)
        ]
    else:  # what a period adds is never taken back, so one look at the tables tells of every end
        numbers = _numbers(twin, last, definitions.memory + last - first, definitions, products)
        segments = _folds(numbers, definitions.memory, definitions.rules, is_open).tolist()
    for period, (before, now) in enumerate(pairwise(segments), first + 1):
        if now != before:
            found.append(Move(end_of(period), definitions.names[before], definitions.names[now]))
    return found


@njit(cache=True, nogil=True)
def step(previous: int, numbers: np.ndarray, rules: Rules, is_open: np.ndarray) -> int:
    """The segment at the end of a period: the first whose rules all hold, by number.

    Args:
        previous: the segment at the end of the period before, or NOWHERE.
        numbers: [NUMBER_COLUMNS] at this end.
        is_open: [segments], whether her life stage lets her into each.
    """
    if not numbers[N_TENURE] >= rules.until_days:
        return 0
    at = 0
    for segment in range(1, is_open.shape[0]):
        holds = is_open[segment]
        while at < rules.segment.shape[0] and rules.segment[at] == segment:
            threshold = rules.leave[at] if segment == previous else rules.enter[at]
            if not rules.sign[at] * numbers[rules.number[at]] >= rules.sign[at] * threshold:
                holds = False  # NaN too
            at += 1
        if holds:
            return segment
    return is_open.shape[0] - 1


@njit(cache=True, nogil=True)
def _fold(numbers: np.ndarray, rules: Rules, is_open: np.ndarray) -> int:
    segment = NOWHERE
    for end in range(numbers.shape[0]):
        segment = step(segment, numbers[end], rules, is_open)
    return segment


@njit(cache=True, nogil=True)
def _folds(numbers: np.ndarray, memory: int, rules: Rules, is_open: np.ndarray) -> np.ndarray:
    """The segment at each end that has `memory` ends, itself the last: int64 [ends - memory + 1]."""
    found = np.empty(numbers.shape[0] - memory + 1, dtype=np.int64)
    for start in range(found.shape[0]):
        found[start] = _fold(numbers[start : start + memory], rules, is_open)
    return found


def _number_of(
    twin: Twin, period: int, definitions: Definitions, products: CatalogueTables, is_open: np.ndarray
) -> int:
    """The segment at the end of a period, by number."""
    then = rewind(twin, end_of(period)) if has_reversal(twin.receipts) else twin
    numbers = _numbers(then, period, definitions.memory, definitions, products)
    return int(_fold(numbers, definitions.rules, is_open))


def _numbers(
    twin: Twin, last: int, ends: int, definitions: Definitions, products: CatalogueTables
) -> np.ndarray:
    """See `numbers_at`, which passes over what came after the last end."""
    return numbers_at(
        twin.cells, twin.visits, twin.head[H_FIRST_SECOND], products, last, ends, definitions.window
    )


def _life_stage(twin: Twin, as_of: int) -> str | None:
    if not twin.about or twin.about_second > as_of:
        return None
    given: dict[str, str] = msgspec.json.decode(twin.about).get("demographics", {})
    return next((given[key] for key in LIFE_STAGE_KEYS if key in given), None)


def _products(definitions: Definitions, catalogue: Catalogue | None) -> CatalogueTables:
    if not definitions.needs_catalogue:
        return _NO_PRODUCTS
    if catalogue is None:
        raise ValueError(f"{definitions.name} reads {NEEDS_CATALOGUE}, which needs the catalogue")
    return catalogue.tables()
