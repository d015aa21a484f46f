"""The hot lane: receipts and clicks into twins, exactly once.

`process` wires it up, `handler` is what a batch does, `folding` folds one partition's records, `products` keeps
the products' statistics, `partition` holds a partition's state, `recovery` restores it, `letters` sets aside.
"""

SOURCE = "/twins/updater"  # who writes, in the CloudEvents headers
