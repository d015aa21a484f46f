"""Segments: every twin is in one, by rules over its numbers that are versioned data.

`numbers` reads what a twin is told apart by, `definitions` says what the segments are (`personas-1.toml`), `membership`
which of them a twin is in, with hysteresis.
"""

from twin_store.segments.definitions import (
    CURRENT,
    Definitions,
    Segment,
    SegmentDefinitionError,
    load_definitions,
)
from twin_store.segments.membership import Move, moves, segment_of
from twin_store.segments.numbers import NUMBERS, PERIOD_DAYS

__all__ = [
    "CURRENT",
    "NUMBERS",
    "PERIOD_DAYS",
    "Definitions",
    "Move",
    "Segment",
    "SegmentDefinitionError",
    "load_definitions",
    "moves",
    "segment_of",
]
