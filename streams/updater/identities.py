"""Ids that became a customer: claims on their twins, what is handed over, and who is forgotten with whom.

A Customer record claims the anonymous ids it names. Each claim travels to the id's own partition, which hands the
id's twin over as a partial twin, and from then on what comes in under that id. The twin itself stays where it was,
unpublished: it knows what was counted already and what is late.

Whoever has claimed others is not claimed any more, so links make no circles.
"""

import base64
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import numpy as np

from streams.batch import Outbox
from streams.topics import ERASURE, PROFILES, SEGMENT_MOVES, TRANSFERS, Topic
from streams.updater import SOURCE
from streams.updater.folding import Working
from twin_store.dna.binary import write_twin
from twin_store.dna.forgetting import after, nameless
from twin_store.dna.layout import C_SKU, R_SKU, V_KEY
from twin_store.dna.twin import Twin
from twin_store.messages import Erasure, Message, Transfer
from twin_store.messages.codec import epoch_seconds, headers_for, instant_of
from twin_store.store.twins import TwinStore

REASON = "an id of a customer who is forgotten"
_log = logging.getLogger(__name__)


class Identities:
    """The links and erasures of one partition's batch, staged and sent."""

    def __init__(self, twins: TwinStore, outbox: Outbox) -> None:
        self._twins = twins
        self._outbox = outbox

    def forget(self, customer_id: str, until_second: int) -> None:
        """Forget a customer up to a moment, and ask the same for the ids that became her.

        If she became somebody by a record from up to then, what she did since is her own again.
        """
        names, before = self._twins.names(customer_id), self._twins.get(customer_id).twin
        became = self._twins.forwarded_to(customer_id)
        self._twins.stage_erasure(customer_id, until_second)
        if became is not None and self._twins.forwarded_to(customer_id) is None:
            self._send("withdrawal", customer_id, became, after(before, until_second))
        self._outbox.send(PROFILES, customer_id.encode(), None)
        self._outbox.send(SEGMENT_MOVES, customer_id.encode(), None)
        self._forget_too(names, until_second)

    def _forget_too(self, names: Iterable[str], until_second: int) -> None:
        for name in names:
            erasure = Erasure(customer_id=name, requested_at=instant_of(until_second), reason=REASON)
            self._publish(ERASURE, name, erasure, erasure.requested_at)

    def claim(self, customer_id: str, anonymous_id: str, second: int) -> None:
        """Claim an id's twin for a customer, as her record of that second says; of a forgotten one forget the id."""
        erased_until = self._twins.erased_until(customer_id)
        if second <= erased_until:
            self._forget_too([anonymous_id], erased_until)
            return
        self._twins.stage_name(customer_id, anonymous_id, second)
        claim = Transfer(
            kind="claim", from_id=customer_id, to_id=anonymous_id, occurred_at=instant_of(second)
        )
        self._publish(TRANSFERS, anonymous_id, claim, claim.occurred_at)

    def settle(self, claim: Transfer) -> None:
        """Link an id to the customer who claims it, and hand its twin over; of two customers the first has it."""
        anonymous_id, second = claim.to_id, epoch_seconds(claim.occurred_at)
        if second <= self._twins.erased_until(anonymous_id):
            return
        owner = self._twins.forwarded_to(anonymous_id)
        if owner is None and self._twins.names(anonymous_id):
            _log.warning(
                "a customer claims an id that has claimed others: no link",
                extra={"customer_id": claim.from_id, "anonymous_id": anonymous_id},
            )
        elif owner is None:
            twin = self._twins.get(anonymous_id).twin
            self._send("partial", anonymous_id, claim.from_id, twin)
            if twin.last_second or twin.about_second:
                self._outbox.send(PROFILES, anonymous_id.encode(), None)
            self._twins.stage_link(anonymous_id, claim.from_id, second)
        elif owner == claim.from_id:
            self._twins.stage_link(anonymous_id, owner, second)

    def pass_on(self, anonymous_id: str, working: Working) -> None:
        """Hand over what a batch brought, or withdrew, under an id that became a customer."""
        customer_id = self._twins.forwarded_to(anonymous_id)
        assert customer_id is not None
        self._send("partial", anonymous_id, customer_id, working.added())
        for withdrawn in working.withdrawn:
            self._send("withdrawal", anonymous_id, customer_id, withdrawn)

    def _send(self, kind: Literal["partial", "withdrawal"], from_id: str, to_id: str, partial: Twin) -> None:
        if not partial.last_second:
            return
        transfer = Transfer(
            kind=kind,
            from_id=from_id,
            to_id=to_id,
            occurred_at=instant_of(partial.last_second),
            partial=base64.b64encode(write_twin(nameless(partial), 0)).decode(),
            symbols=_symbols_of(partial, self._twins.symbols),
        )
        self._publish(TRANSFERS, to_id, transfer, transfer.occurred_at)

    def _publish(self, topic: Topic, key: str, message: Message, occurred_at: datetime) -> None:
        self._outbox.send(topic, key.encode(), message.to_wire(), headers_for(message, SOURCE, occurred_at))


def _symbols_of(twin: Twin, symbols: Mapping[int, str]) -> dict[int, str]:
    """The strings behind the keys that a twin's tables hold."""
    held = np.concatenate((twin.cells[:, C_SKU], twin.visits[:, V_KEY], twin.receipts[:, R_SKU]))
    return {key: symbols[key] for key in np.unique(held).tolist() if key in symbols}
