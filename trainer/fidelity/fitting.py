"""The evidence decider for cases: fitted on what came before a date, only for the kinds that are asked."""

from collections.abc import Callable, Iterable
from datetime import datetime

from trainer.deciders.evidence import EvidenceDecider
from trainer.fidelity.external import ExternalCase
from trainer.fit_evidence import Drawn, Effort, fit_evidence
from trainer.fitted import FLOOR, MATCHED, Fitted
from trainer.tasks.history import History
from twin_store.evidence import Products
from twin_store.lake import Lake


def heads_for(cases: Iterable[ExternalCase]) -> set[Drawn]:
    """The heads that answer these cases."""
    wanted: set[Drawn] = set()
    for case in cases:
        match case.kind:
            case "next_basket":
                wanted.add(("purchase", FLOOR))
            case "voucher_redemption":
                wanted.add(("voucher_redemption", FLOOR))
            case "basket_completion" | "trip_choice":
                wanted.add((case.kind, MATCHED))
            case "purchase" | "promotion_response":
                wanted.add((case.kind, MATCHED if case.matched else FLOOR))
    # Without displays and mailers there are no cases of promotions, and purchases stand in.
    return wanted | {("purchase", drawn) for kind, drawn in wanted if kind == "promotion_response"}


def fit_for(
    lake: Lake,
    until: datetime,
    wanted: set[Drawn],
    effort: Effort,
    say: Callable[[str], None] = lambda line: None,
) -> Fitted:
    """Fit these heads on what came before `until`. Raises `NotEnoughHistoryError`."""
    needs_shelves = any(kind == "promotion_response" for kind, _ in wanted)
    history = History.from_lake(lake, until, until if not needs_shelves else _beginning(lake, until), say)
    return fit_evidence(history, effort, say, wanted)[0]


def decider_over(fitted: Fitted, version: str, products: Products) -> EvidenceDecider:
    """The live decider over what was fitted."""
    return EvidenceDecider(version, fitted, products)


def _beginning(lake: Lake, until: datetime) -> datetime:
    """Before the first of the promotions."""
    return until.replace(year=1970, month=1, day=1)
