"""Rewards of what is put into a basket: overlap with what was bought, and what is bought together."""

from collections.abc import Collection, Sequence

ITEMS = ","


def items_said(text: str) -> list[str]:
    """The products that a model lists with commas between, each once, as it spelt them."""
    said = (part.strip().removesuffix(".") for part in text.split(ITEMS))
    return list(dict.fromkeys(part for part in said if part))


def jaccard(said: Collection[str], bought: Collection[str]) -> float:
    """What both have, of what either has; 0 where both are empty."""
    one, other = set(said), set(bought)
    return len(one & other) / len(one | other) if one | other else 0.0


def co_occurrence(said: int, of_options: Sequence[float]) -> float:
    """How the said option shares baskets with what is in the basket already, of the best that an option does: 0 to 1.

    Args:
        of_options: of each option, how much the basket goes with it (the evidence's `basket_affinity`).
    """
    best = max(of_options, default=0.0)
    return of_options[said] / best if 0 <= said < len(of_options) and best > 0 else 0.0
