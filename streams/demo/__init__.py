"""`twins demo`: the whole system on real receipts, from an empty folder to a report.

`story` tells it phase by phase, `cases` collects what was asked, answered and settled, `scores` judges it,
`freshness` watches the profiles, `picture` draws.
"""
