"""The settler: each answer and what then happened, joined once, in event time.

`process` wires it up, `handler` is what a batch does, `partition` holds what belongs to one partition, `book` its
open answers, `event_time` how far its events have come; `metrics` counts. The rules are `twin_store.outcomes`.
"""
