"""What a twin keeps of a Customer message: its body, and when it was true."""

from twin_store.messages import Customer
from twin_store.messages.codec import epoch_seconds

KEPT_FIELDS = {"demographics", "personalisation_consent"}


def about_of(customer: Customer) -> tuple[bytes, int]:
    """The body as canonical JSON and the epoch second it is from, as `fold_about` takes them."""
    return customer.model_dump_json(include=KEPT_FIELDS).encode(), epoch_seconds(customer.updated_at)
