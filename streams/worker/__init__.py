"""The worker: each query answered once, as of its moment, by the version that is current.

`process` wires it up, `handler` is what a batch does, `deciding` puts queries to the decider, `answers` makes them
predictions, `partition` holds what belongs to one partition, `answered` the ids it answered last; `models`
is kept up to date by a thread of its own; `metrics` counts.
"""
