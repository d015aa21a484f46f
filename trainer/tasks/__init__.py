"""Decision tasks from the lake: what could have been asked of whom when, and what then happened.

`history` loads receipts, catalogue and promotions up to a date; `samplers` and its neighbours draw cases; `replay`
folds each customer's receipts up to each case with the hot lane's own fold; `table` turns cases into numbers.
"""
