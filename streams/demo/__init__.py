"""`twins demo`: the whole system on real receipts, from an empty folder to a report.

`story` tells it phase by phase on a `stage` of its own broker and processes; `cases` collects what was asked,
answered and settled, `freshness` watches the profiles, `scores` and `controls` judge, `report` and `picture` show.
"""
