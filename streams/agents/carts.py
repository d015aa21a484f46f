"""During a session: the open cart, and what would complete it."""

from __future__ import annotations

from streams.agents.ledger import CART_ITEMS_MAX, Cart, Ledger
from streams.agents.questions import Proposal, Question, rest_key
from streams.agents.retrieved import ANCHORS_MAX, Neighbours, merged
from twin_store.messages import Click, Subject
from twin_store.messages.codec import SECONDS_PER_DAY, epoch_seconds

ITEMS_MIN = 2
RETRIEVED_MAX = 5
REGULARS_MAX = 5
CANDIDATES_MIN = 2  # of one candidate there is nothing to choose
HORIZON_S = 2 * SECONDS_PER_DAY
CLOSES_CART = ("checkout_start", "purchase")


def touch(ledger: Ledger, click: Click) -> bool:
    """Apply a step of a session to its cart; whether it put a new item in."""
    at = epoch_seconds(click.occurred_at)
    if click.action in CLOSES_CART:
        ledger.carts.pop(click.session_id, None)
        return False
    cart = ledger.carts.get(click.session_id)
    if click.sku is None or (cart is None and click.action != "add_to_cart"):
        return False
    if cart is None:
        cart = ledger.carts[click.session_id] = Cart(at, [])
    cart.touched = max(cart.touched, at)
    if click.action == "remove_from_cart" and click.sku in cart.skus:
        cart.skus.remove(click.sku)
    if click.action != "add_to_cart" or click.sku in cart.skus or len(cart.skus) >= CART_ITEMS_MAX:
        return False
    cart.skus.append(click.sku)
    return True


def cart_anchors(ledger: Ledger, click: Click) -> list[str]:
    """The products whose neighbours may complete the cart: this click's and those put in last."""
    cart = ledger.carts.get(click.session_id)
    skus = [click.sku, *reversed(cart.skus if cart is not None else ())]
    return [sku for sku in dict.fromkeys(skus) if sku is not None][:ANCHORS_MAX]


def propose_completion(ledger: Ledger, click: Click, neighbours: Neighbours) -> Proposal:
    """After an item was put in: which of her regular items, or of those like the cart's, completes it?"""
    cart = ledger.carts[click.session_id]
    if len(cart.skus) < ITEMS_MIN:
        return None
    at = epoch_seconds(click.occurred_at)
    occasion = "\x1f".join([click.session_id, *sorted(cart.skus)])
    rests = rest_key("basket_completion", occasion)
    if ledger.is_cooling(rests, at):
        return "cooling_down"
    retrieved = merged(neighbours, cart_anchors(ledger, click), set(cart.skus))
    usual = [sku for sku in ledger.regulars if sku not in cart.skus][:REGULARS_MAX]
    candidates = list(dict.fromkeys([*usual, *(product.sku for product in retrieved[:RETRIEVED_MAX])]))
    if len(candidates) < CANDIDATES_MIN:
        return None
    return Question(
        customer_id=click.customer_id or "",
        kind="basket_completion",
        raised_by="open_basket",
        occasion=occasion,
        as_of=at,
        subject=Subject(partial_basket=list(cart.skus), candidates=candidates),
        until=at + HORIZON_S,
        rests=(rests,),
        store_id=ledger.store,
        retrieved=retrieved,
    )
