"""How often the drift monitor trips where nothing has changed, and how soon where something has.

    python -m benchmarks.drift [--runs N] [--json]

Made-up weeks of one segment of 400 customers, 720 trips and 1,600 settled options each, go through the monitor's judge:
`runs` seeded runs of noise, and as many of each of three shifts, which begin with the seventh week.
"""

from typing import Any

from benchmarks.command import run_alone
from benchmarks.drift_weeks import SHIFTS, watched

NOISY_WEEKS = 10
SHIFTED_FROM = 6


def measure(runs: int = 200) -> dict[str, Any]:
    """Windows of noise that trip; of each shift the runs that trip in its first or second window, later, before it."""
    trips = [len(watched(seed, NOISY_WEEKS)) for seed in range(runs)]
    found: dict[str, Any] = {"noisy_windows": runs * NOISY_WEEKS, "noisy_windows_that_tripped": sum(trips)}
    for name, shift in SHIFTS.items():
        tripped = [watched(seed, SHIFTED_FROM + 3, shift, SHIFTED_FROM) for seed in range(runs)]
        soon = {SHIFTED_FROM, SHIFTED_FROM + 1}
        found[name] = {
            "runs": runs,
            "tripped_within_two_windows": sum(bool(soon & set(weeks)) for weeks in tripped),
            "tripped_before": sum(any(week < SHIFTED_FROM for week in weeks) for weeks in tripped),
        }
    return found


if __name__ == "__main__":
    run_alone(__doc__, measure)
