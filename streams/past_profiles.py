"""A customer's profile as of any moment, recomputed from the lake: what the stream had published by then."""

from __future__ import annotations

from streams.errors import TwinsError
from streams.settings import Settings
from twin_store.batch_fold import twin_as_of
from twin_store.catalogue import Catalogue
from twin_store.dna.profile import ProfileWriter
from twin_store.lake import Lake, LakeError
from twin_store.messages import Profile
from twin_store.messages.codec import decode, instant_of
from twin_store.product_names import product_names
from twin_store.usuals import Usuals


def profile_as_of(settings: Settings, customer_id: str, as_of: int) -> tuple[Profile | None, dict[str, str]]:
    """The profile at epoch second `as_of`, None if nothing was known of her, and the names of its regular items.

    Price tiers, price indexes and deal lift are None: they are read against the receipts of all customers.
    Raises `TwinsError` if the lake cannot be read.
    """
    try:
        lake = Lake(settings.lake)
        twin, symbols = twin_as_of(lake, customer_id, as_of)
        if not (twin.last_second or twin.about_second):
            return None, {}
        frame = lake.scan_catalog(instant_of(as_of)).collect()
    except LakeError as error:
        raise TwinsError(str(error)) from error
    catalogue = Catalogue.from_frame(frame, settings.currency)
    names = product_names(catalogue, Usuals(settings.currency))
    written = ProfileWriter(settings.currency).write(customer_id, twin, names, symbols)[1]
    profile = decode(Profile, written)
    skus = [item.sku for item in profile.dna.regulars]
    named = frame.filter(frame["sku"].is_in(skus)).select("sku", "name")
    return profile, dict(named.iter_rows())
