"""How far the events of a partition have come, so that what has not happened by then did not happen."""

import msgspec

WITNESSES = 3


class EventTime:
    """Event time of one partition, from the newest receipts of its customers.

    One customer with a wrong clock must not end everybody's horizons: the time that `WITNESSES` customers have
    reached counts, or all customers while there are fewer.

    And a time counts only when everything that was committed along with its receipts was read: a transaction
    holds weeks of events when a backlog is worked off, in no order. `advance` waits for that.
    """

    def __init__(self, reached: int = 0) -> None:
        self.reached = reached
        self._newest: dict[str, int] = {}
        self._mark: tuple[int, int] | None = None

    def note(self) -> bytes:
        """The witnesses, to be kept with the records that brought them."""
        return msgspec.msgpack.encode(self._newest)

    def recall(self, note: bytes) -> None:
        """Hear the witnesses of a `note` again, after a restart."""
        for customer_id, second in msgspec.msgpack.decode(note, type=dict[str, int]).items():
            self.see(customer_id, second)

    def see(self, customer_id: str, second: int) -> None:
        """A receipt of a customer, in epoch seconds."""
        if second <= self._newest.get(customer_id, 0):
            return
        self._newest[customer_id] = second
        if len(self._newest) > WITNESSES:
            del self._newest[min(self._newest, key=lambda customer: self._newest[customer])]

    def advance(self, position: int, end: int) -> None:
        """Move `reached` on as far as can be said.

        Args:
            position: the changelog was read up to here.
            end: an end of the changelog, heard after everything seen so far was committed; below 0 if none was.
        """
        self._pass_mark(position)
        if self._mark is None and self._agreed() > self.reached and end >= 0:
            self._mark = (self._agreed(), end)
            self._pass_mark(position)

    def _agreed(self) -> int:
        return min(self._newest.values(), default=0)

    def _pass_mark(self, position: int) -> None:
        if self._mark is not None and position >= self._mark[1]:
            # Fewer customers may have been heard of when the mark was set.
            self.reached = max(self.reached, min(self._mark[0], self._agreed()))
            self._mark = None
