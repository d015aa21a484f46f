"""Moves between segments, raised by who folds the events: once each, in the transaction of the event that shows them.

A membership changes at the ends of periods only, so all that most events cost is two divisions. Who does not shop any
more moves when she is back; `segment_of` says at any time where she is.
"""

from __future__ import annotations

from twin_store.dna.layout import H_FIRST_SECOND
from twin_store.dna.twin import Twin
from twin_store.messages import SegmentMove
from twin_store.messages.codec import instant_of
from twin_store.segments import Definitions, Move, moves
from twin_store.segments.numbers import last_period


def moves_between(before: Twin, after: Twin, definitions: Definitions) -> list[Move]:
    """Her moves from the last event of `before` up to that of `after`; none while no period has ended.

    Definitions that read the catalogue are left out: the hot lane has none.
    """
    if definitions.needs_catalogue or not after.last_second:
        return []
    since = before.last_second or int(after.head[H_FIRST_SECOND])
    if last_period(since) == last_period(after.last_second):
        return []
    return moves(after, since, after.last_second, definitions)


def as_message(customer_id: str, move: Move, definitions: Definitions) -> SegmentMove:
    """The move as it is published."""
    return SegmentMove(
        customer_id=customer_id,
        definitions=definitions.name,
        from_segment=move.from_segment,
        to_segment=move.to_segment,
        moved_at=instant_of(move.second),
    )
