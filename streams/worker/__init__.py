"""The worker: each query answered once, as of its moment, by the version that is current.

`process` wires it up, `handler` is what a batch does, `answering` turns queries into predictions, `partition` holds
what belongs to one partition, `answered` the ids it answered last; `models` and `products` are kept up to date by
threads of their own; `metrics` counts.
"""
