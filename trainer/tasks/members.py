"""Who is in which segment at the end of a history, by the twins that its own receipts give."""

from __future__ import annotations

from trainer.tasks.cases import Case
from trainer.tasks.workshop import Workshop
from twin_store.messages.decisions import Environment, Subject
from twin_store.segments import Definitions, segment_of


def segments_of(workshop: Workshop, definitions: Definitions) -> dict[str, str]:
    """The segment of every customer as of the last second of the history."""
    moment = workshop.end - 1
    cases = [
        Case("purchase", customer, moment, Subject(), Environment(), (), (), False)
        for customer in workshop.shop.trips.customer_ids
    ]
    return {
        cases[i].customer_id: segment_of(twin, moment, definitions)
        for i, twin in workshop.replay.twins(cases)
    }
