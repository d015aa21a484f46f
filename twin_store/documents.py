"""Customer records and erasure requests as everybody takes them: what the hot lane refuses, the lake refuses too."""

from datetime import datetime

from twin_store.messages import Customer, Erasure
from twin_store.messages.codec import BadMessage, decode
from twin_store.records import FUTURE_SECONDS_MAX, Record


def read_customer(record: Record) -> Customer:
    """The customer record of a Kafka record.

    Raises:
        BadMessage: it does not fit its contract, is from the future, or is not under its customer's key.
    """
    customer = decode(Customer, record.value)
    _check(record, customer.customer_id, customer.updated_at, "updated_at")
    return customer


def read_erasure(record: Record) -> Erasure:
    """The erasure request of a Kafka record.

    Raises:
        BadMessage: as for `read_customer`.
    """
    erasure = decode(Erasure, record.value)
    _check(record, erasure.customer_id, erasure.requested_at, "requested_at")
    return erasure


def _check(record: Record, owner: str, instant: datetime, place: str) -> None:
    """Under another key it would reach another partition; with a wrong clock it would hold against all to come."""
    if record.key != owner.encode():
        raise BadMessage("the record's key must be the id of the customer it is about", "key")
    if instant.timestamp() > record.timestamp + FUTURE_SECONDS_MAX:
        raise BadMessage("instant is more than a day after the record was published", place)
