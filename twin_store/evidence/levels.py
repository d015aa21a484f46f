"""How she has bought one item, or one type or section as a whole: the same twelve numbers for each, compiled."""

import math

import numpy as np
from numba import njit

from twin_store.dna.layout import C_DAY, C_LINES
from twin_store.evidence.history import WINDOW_DAYS, History, weighted_share

(
    L_DAYS, L_SINCE, L_TRIPS_SINCE, L_INTERVAL, L_SPREAD, L_LAST_INTERVAL, L_DUE, L_TRIPS_DUE, L_SHARE,
    L_SHARE_MONTH, L_SHARE_QUARTER, L_LINES,
) = range(12)  # fmt: skip


@njit(cache=True, nogil=True)
def mark_run(history: History, cells: np.ndarray, run: int, marks: np.ndarray) -> None:
    """Mark the shopping days on which she bought the item of this run."""
    for i in range(history.run_starts[run], history.run_ends[run]):
        if cells[i, C_LINES] > 0:
            marks[history.place[cells[i, C_DAY] - history.first_day]] = True


@njit(cache=True, nogil=True)
def write_level(history: History, marks: np.ndarray, out: np.ndarray) -> None:
    """The twelve numbers of the marked shopping days into `out`; see `names._level` for what they say."""
    days = history.days
    bought = np.nonzero(marks)[0]
    count = bought.shape[0]
    out[:] = math.nan
    out[L_DAYS] = count
    if days.shape[0] > 0:
        out[L_SHARE] = count / days.shape[0]
        out[L_SHARE_MONTH] = weighted_share(history, marks, history.month)
        out[L_SHARE_QUARTER] = weighted_share(history, marks, history.quarter)
    if count == 0:
        return
    lines = 0.0
    for day in bought:
        lines += history.lines[day]
    out[L_LINES] = lines / count
    first = days[bought[0]]
    last = days[bought[count - 1]]
    out[L_SINCE] = WINDOW_DAYS - last
    out[L_TRIPS_SINCE] = days.shape[0] - 1 - bought[count - 1]
    if count == 1:
        return
    mean = (last - first) / (count - 1)
    squares = 0.0
    for i in range(1, count):
        squares += (days[bought[i]] - days[bought[i - 1]] - mean) ** 2
    out[L_INTERVAL] = mean
    out[L_SPREAD] = math.sqrt(squares / (count - 1))
    out[L_LAST_INTERVAL] = last - days[bought[count - 2]]
    out[L_DUE] = out[L_SINCE] / mean
    out[L_TRIPS_DUE] = out[L_TRIPS_SINCE] * (count - 1) / (bought[count - 1] - bought[0])
