"""The evidence on candidate items: one row a candidate, compiled."""

import math

import numpy as np
from numba import njit

from twin_store.affinity import BUYERS, AffinityTables, StoreTables
from twin_store.catalogue import UNKNOWN, CatalogueTables
from twin_store.dna.layout import (
    C_LINES,
    C_NET,
    C_UNITS,
    H_HOUR,
    H_RECEIPTS,
    H_WEEKDAY,
    V_DAY,
    V_KEY,
    V_LINES,
    V_RECEIPTS,
)
from twin_store.dna.receipts import FIRST_MONDAY
from twin_store.evidence.affinities import (
    A_BASKET_HAS_SECTION,
    A_BASKET_HAS_TYPE,
    A_BASKET_SIZE,
    A_HISTORY,
    A_HISTORY_TYPE,
    A_STORE,
    A_STORE_TYPE,
    A_TASTE,
    A_TASTE_LIFT,
    A_TYPE_TASTE,
    BUYERS_PRIOR,
    history_affinity,
    place_taste,
    taste_of_items,
    type_affinity,
    weigh_types,
    write_basket,
    write_rebuys,
    write_usage,
)
from twin_store.evidence.history import (
    HOUSEHOLD_COLUMNS,
    RUN_CARTS,
    RUN_DAYS,
    RUN_DEALS,
    RUN_LAST,
    RUN_LINES,
    RUN_NET,
    RUN_UNITS,
    RUN_VIEWS,
    THOUSANDTHS,
    WINDOW_DAYS,
    History,
    read_history,
    run_of,
)
from twin_store.evidence.levels import L_SINCE, mark_run, write_level
from twin_store.evidence.names import (
    ITEM_COLUMNS,
    LEVEL_COLUMNS,
    OF_AFFINITY,
    OF_HOUSEHOLD,
    OF_ITEMS,
    OF_MOMENT,
    OF_PRODUCT,
)
from twin_store.evidence.products import (
    P_OWN_BRAND,
    P_PRICE,
    store_lift,
    write_product,
)
from twin_store.key_index import ABSENT, find
from twin_store.market import MarketTables, listing_key_compiled
from twin_store.messages.codec import SECONDS_PER_DAY

# What the environment says of a candidate; NaN where it says nothing.
E_PRICE, E_DISPLAY, E_MAILER = range(3)
ENVIRONMENT_COLUMNS = 3

(
    I_UNITS, I_DEAL_SHARE, I_TO_MEAN_PAID, I_TO_LAST_PAID, I_TO_LEAST_PAID, I_VIEWS, I_CARTS, I_OF_TYPE,
    I_OF_SECTION, I_LAST_OF_TYPE, I_TYPE_KINDS, I_TYPE_DEAL_SHARE, I_SECTION_DEAL_SHARE, I_TO_TYPE_PAID,
    I_BRAND_SHARE, I_BRAND_OF_SECTION, I_PRIVATE_OF_SECTION, I_OTHER_SINCE,
) = range(18)  # fmt: skip
M_HOUR, M_WEEKDAY, M_STORE, M_STORE_LISTS, M_DISPLAY, M_MAILER, M_STORE_LINES = range(7)
MOMENT_COLUMNS = 7
ITEM, TYPE, SECTION = 0, LEVEL_COLUMNS, 2 * LEVEL_COLUMNS


@njit(cache=True, nogil=True)
def item_evidence(
    cells: np.ndarray,
    visits: np.ndarray,
    head: np.ndarray,
    as_of: int,
    catalogue: CatalogueTables,
    market: MarketTables,
    skus: AffinityTables,
    types: AffinityTables,
    stores: StoreTables,
    candidates: np.ndarray,
    environment: np.ndarray,
    store: int,
    visit: int,
    basket: np.ndarray,
) -> np.ndarray:
    """Evidence on each candidate: float64 [n, ITEM_COLUMNS], columns as `names.ITEM_EVIDENCE`.

    Args:
        cells, visits, head: the twin's tables, rewound to `as_of` (epoch seconds).
        candidates: sku keys [n].
        environment: [n, ENVIRONMENT_COLUMNS].
        store, visit: keys of the store and of its visits, 0 when it is not known.
        basket: sku keys of the basket so far.
    """
    history = read_history(cells, visits, head, catalogue, as_of)
    week = (as_of // SECONDS_PER_DAY - FIRST_MONDAY) // 7
    moment = _read_moment(visits, head, as_of, visit, history.first_day)
    type_weights, type_days = weigh_types(history, types)
    taste = taste_of_items(history, skus)
    type_taste = place_taste(types, np.arange(types.names.shape[0]), type_days)
    basket_rows, basket_types, basket_type_rows, basket_sections = _look_up_basket(
        catalogue, skus, types, basket
    )
    out = np.full((candidates.shape[0], ITEM_COLUMNS), math.nan)
    codes = np.zeros((candidates.shape[0], 4), dtype=np.int64)
    for i in range(candidates.shape[0]):
        row = out[i]
        list_price = _look_up(catalogue, candidates[i], codes[i])
        section, item_type, brand, private = codes[i]
        _write_levels(history, cells, candidates[i], codes, i, out)
        row[OF_HOUSEHOLD : OF_HOUSEHOLD + HOUSEHOLD_COLUMNS] = history.household
        write_product(market, candidates[i], week, environment[i, E_PRICE], list_price, row[OF_PRODUCT:])
        row[OF_PRODUCT + P_OWN_BRAND] = private if private >= 0 else math.nan
        _write_item(history, cells, candidates[i], section, item_type, brand, row[OF_PRODUCT + P_PRICE], row)
        row[OF_MOMENT : OF_MOMENT + MOMENT_COLUMNS] = moment
        if store != 0:
            row[OF_MOMENT + M_STORE_LISTS] = _lists(market, candidates[i], store, week)
        row[OF_MOMENT + M_DISPLAY] = environment[i, E_DISPLAY]
        row[OF_MOMENT + M_MAILER] = environment[i, E_MAILER]
        own = find(skus.keys, skus.rows, candidates[i])
        own_type = find(types.keys, types.rows, item_type)
        affinity = row[OF_AFFINITY:]
        write_rebuys(skus, types, own, own_type, row[ITEM + L_SINCE], row[TYPE + L_SINCE], affinity)
        if own != ABSENT:
            affinity[A_HISTORY] = history_affinity(history, skus, own)
            affinity[A_TASTE] = np.dot(taste, skus.vectors[own])
            affinity[A_TASTE_LIFT] = affinity[A_TASTE] / math.sqrt(skus.facts[own, BUYERS] + BUYERS_PRIOR)
        if own_type != ABSENT:
            affinity[A_HISTORY_TYPE] = type_affinity(types, own_type, type_weights)
            affinity[A_TYPE_TASTE] = np.dot(type_taste, types.vectors[own_type])
        write_usage(skus, types, own, own_type, as_of, affinity)
        if store != 0:
            affinity[A_STORE] = store_lift(stores, candidates[i], store)
            if item_type != UNKNOWN:
                affinity[A_STORE_TYPE] = store_lift(stores, item_type, store)
        affinity[A_BASKET_SIZE] = basket.shape[0]
        if basket.shape[0] > 0:
            write_basket(skus, types, own, own_type, basket_rows, basket_type_rows, affinity)
            affinity[A_BASKET_HAS_TYPE] = item_type != UNKNOWN and np.any(basket_types == item_type)
            affinity[A_BASKET_HAS_SECTION] = section != UNKNOWN and np.any(basket_sections == section)
    return out


@njit(cache=True, nogil=True)
def _look_up(catalogue: CatalogueTables, sku: int, codes: np.ndarray) -> float:
    """Section, type, brand and own-brand flag into `codes`; the list price."""
    codes[:] = UNKNOWN
    codes[3] = -1
    row = find(catalogue.keys, catalogue.rows, sku)
    if row == ABSENT:
        return math.nan
    codes[0] = catalogue.section[row]
    codes[1] = catalogue.item_type[row]
    codes[2] = catalogue.brand[row]
    codes[3] = catalogue.private[row]
    return catalogue.list_price[row]


@njit(cache=True, nogil=True)
def _write_levels(
    history: History, cells: np.ndarray, sku: int, codes: np.ndarray, i: int, out: np.ndarray
) -> None:
    """Item, type and section numbers of candidate i; what an earlier candidate shares is copied."""
    marks = np.zeros(history.days.shape[0], dtype=np.bool_)
    run = run_of(history, sku)
    if run >= 0:
        mark_run(history, cells, run, marks)
    write_level(history, marks, out[i, ITEM : ITEM + LEVEL_COLUMNS])
    for level in range(2):
        start = SECTION if level == 0 else TYPE
        code = codes[i, level]
        if code == UNKNOWN:
            continue
        twin = -1
        for j in range(i):
            if codes[j, level] == code:
                twin = j
                break
        if twin >= 0:
            out[i, start : start + LEVEL_COLUMNS] = out[twin, start : start + LEVEL_COLUMNS]
            continue
        marks[:] = False
        run_codes = history.run_sections if level == 0 else history.run_types
        for r in range(run_codes.shape[0]):
            if run_codes[r] == code:
                mark_run(history, cells, r, marks)
        write_level(history, marks, out[i, start : start + LEVEL_COLUMNS])


@njit(cache=True, nogil=True)
def _write_item(
    history: History,
    cells: np.ndarray,
    sku: int,
    section: int,
    item_type: int,
    brand: int,
    price: float,
    row: np.ndarray,
) -> None:
    out = row[OF_ITEMS:]
    run = run_of(history, sku)
    own = np.zeros(history.runs.shape[1])
    if run >= 0:
        own[:] = history.runs[run]
        _write_paid(cells, history.run_starts[run], history.run_ends[run], price, out)
    out[I_VIEWS] = own[RUN_VIEWS]
    out[I_CARTS] = own[RUN_CARTS]
    if own[RUN_DAYS] > 0:
        out[I_UNITS] = own[RUN_UNITS] / own[RUN_DAYS]
        out[I_DEAL_SHARE] = own[RUN_DEALS] / own[RUN_LINES]
    everything = 0.0
    of_brand = 0.0
    of_type = np.zeros(5)  # lines, deals, units, net, kinds
    of_section = np.zeros(4)  # lines, deals, of the brand, own brand
    other = 0.0
    for r in range(history.runs.shape[0]):
        lines = history.runs[r, RUN_LINES]
        same_brand = brand != UNKNOWN and history.run_brands[r] == brand
        everything += lines
        if same_brand:
            of_brand += lines
        if item_type != UNKNOWN and history.run_types[r] == item_type and lines > 0:
            of_type[0] += lines
            of_type[1] += history.runs[r, RUN_DEALS]
            of_type[2] += history.runs[r, RUN_UNITS]
            of_type[3] += history.runs[r, RUN_NET]
            of_type[4] += 1
            if r != run:
                other = max(other, history.runs[r, RUN_LAST])
        if section != UNKNOWN and history.run_sections[r] == section:
            of_section[0] += lines
            of_section[1] += history.runs[r, RUN_DEALS]
            of_section[2] += lines if same_brand else 0.0
            of_section[3] += lines if history.run_private[r] == 1 else 0.0
    out[I_TYPE_KINDS] = of_type[4]
    if other > 0:
        out[I_OTHER_SINCE] = WINDOW_DAYS - other
    if of_type[0] > 0:
        out[I_OF_TYPE] = own[RUN_LINES] / of_type[0]
        out[I_TYPE_DEAL_SHARE] = of_type[1] / of_type[0]
        out[I_LAST_OF_TYPE] = row[ITEM + L_SINCE] == row[TYPE + L_SINCE]
        if of_type[2] > 0 and of_type[3] > 0:
            out[I_TO_TYPE_PAID] = price * of_type[2] / of_type[3]
    if of_section[0] > 0:
        out[I_OF_SECTION] = own[RUN_LINES] / of_section[0]
        out[I_SECTION_DEAL_SHARE] = of_section[1] / of_section[0]
        out[I_BRAND_OF_SECTION] = of_section[2] / of_section[0]
        out[I_PRIVATE_OF_SECTION] = of_section[3] / of_section[0]
    if everything > 0 and brand != UNKNOWN:
        out[I_BRAND_SHARE] = of_brand / everything


@njit(cache=True, nogil=True)
def _write_paid(cells: np.ndarray, start: int, end: int, price: float, out: np.ndarray) -> None:
    """The price against what she paid a unit for the item: mean, last, least."""
    least = math.inf
    last = math.nan
    units = 0.0
    net = 0.0
    for i in range(start, end):
        if cells[i, C_LINES] <= 0 or cells[i, C_UNITS] <= 0 or cells[i, C_NET] <= 0:
            continue
        last = THOUSANDTHS * cells[i, C_NET] / cells[i, C_UNITS]
        least = min(least, last)
        units += cells[i, C_UNITS]
        net += cells[i, C_NET]
    if net > 0:
        out[I_TO_MEAN_PAID] = price * units / (THOUSANDTHS * net)
        out[I_TO_LAST_PAID] = price / last
        out[I_TO_LEAST_PAID] = price / least


@njit(cache=True, nogil=True)
def _read_moment(visits: np.ndarray, head: np.ndarray, as_of: int, visit: int, first_day: int) -> np.ndarray:
    """What is hers of the moment's numbers: shares of her receipts then and there, her lines a receipt there."""
    out = np.full(MOMENT_COLUMNS, math.nan)
    receipts = head[H_RECEIPTS]
    if receipts <= 0:
        return out
    hour = (as_of % SECONDS_PER_DAY) // 3600
    near = 0
    for step in range(-1, 2):
        near += head[H_HOUR + (hour + step) % 24]
    out[M_HOUR] = near / receipts
    out[M_WEEKDAY] = head[H_WEEKDAY + (as_of // SECONDS_PER_DAY - FIRST_MONDAY) % 7] / receipts
    if visit != 0:
        here = 0
        lines = 0
        everywhere = 0
        for i in range(visits.shape[0]):
            if visits[i, V_DAY] > first_day:
                everywhere += visits[i, V_RECEIPTS]
                if visits[i, V_KEY] == visit:
                    here += visits[i, V_RECEIPTS]
                    lines += visits[i, V_LINES]
        if everywhere > 0:
            out[M_STORE] = here / everywhere
        if here > 0:
            out[M_STORE_LINES] = lines / here
    return out


@njit(cache=True, nogil=True)
def _lists(market: MarketTables, sku: int, store: int, week: int) -> float:
    row = find(market.listing_keys, market.listing_rows, listing_key_compiled(sku, store))
    return 1.0 if row != ABSENT and market.listed_since[row] < week else 0.0


@njit(cache=True, nogil=True)
def _look_up_basket(
    catalogue: CatalogueTables, skus: AffinityTables, types: AffinityTables, basket: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each item of the basket: its affinity row, its type, that type's affinity row, its section."""
    count = basket.shape[0]
    rows = np.empty(count, dtype=np.int64)
    item_types = np.empty(count, dtype=np.int64)
    type_rows = np.empty(count, dtype=np.int64)
    sections = np.empty(count, dtype=np.int64)
    codes = np.zeros(4, dtype=np.int64)
    for b in range(count):
        _look_up(catalogue, basket[b], codes)
        rows[b] = find(skus.keys, skus.rows, basket[b])
        sections[b] = codes[0]
        item_types[b] = codes[1]
        type_rows[b] = find(types.keys, types.rows, codes[1])
    return rows, item_types, type_rows, sections
