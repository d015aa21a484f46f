"""What streaming is worth: the same cases answered by twins that have missed the last days."""

from collections.abc import Callable
from typing import Any

from trainer.fidelity.baselines.base import SheetScorer
from trainer.fidelity.bootstrap import Draws, middle
from trainer.fidelity.known import Known
from trainer.fidelity.measures import measure_probabilities
from trainer.fidelity.sheets import Sheet, fill_sheet
from twin_store.affinity import Affinity

DAYS = (0, 1, 7, 30, 90)


def stale_curve(
    known: Known,
    sheet: Sheet,
    affinity: Affinity,
    scorer: SheetScorer,
    seed: int,
    say: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """By days stale the headline measure, its interval, and the interval of what was lost to fresh twins."""
    draws = Draws(sheet.customers, seed)
    found = []
    fresh = None
    for days in DAYS:
        behind = sheet if days == 0 else fill_sheet(known, sheet.frozen, affinity, days)
        p = scorer.probabilities(behind)
        if p is None:
            return []
        # Which rows are regular is told by the fresh twin, so that parts stay the same cases.
        measured = measure_probabilities(behind, p, draws)
        fresh = measured if fresh is None else fresh
        found.append(
            {
                "days": days,
                measured.headline: measured.values[measured.headline],
                "interval": list(measured.interval),
                "lost": list(middle(fresh.draws - measured.draws)),
            }
        )
        say(f"twins {days} days behind: {measured.headline} {measured.values[measured.headline]:.3f}")
    return found
