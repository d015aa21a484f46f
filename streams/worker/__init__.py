"""Answers decision queries: `process` wires it up, `handler` is what a batch does, `answers` writes predictions,
`answered` remembers the queries that are done, `models` keeps the decider and its products up to date.
"""
