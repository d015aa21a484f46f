"""Which part of a set of tasks a row belongs to: learnt from, or held out by time, by customer, or by both."""

import hashlib

HELD_OUT_CUSTOMERS, HELD_OUT_TIME = 0.1, 0.2  # shares: of the customers, and of the time at the end


def cut_of(first: int, end: int) -> int:
    """The second from which on cases are held out, of cases between two."""
    return end - int(HELD_OUT_TIME * (end - first))


def part_of(customer_id: str, second: int, cut: int) -> str:
    """`fit`, or held out by customer, by time, or by both: what is learnt from meets neither."""
    drawn = int.from_bytes(hashlib.blake2b(customer_id.encode(), digest_size=4).digest(), "big") / 2**32
    if drawn < HELD_OUT_CUSTOMERS:
        return "customers" if second < cut else "both"
    return "fit" if second < cut else "time"
