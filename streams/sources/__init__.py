"""Where events come from: the real data set, a retailer's own files, and faults injected on purpose.

A source yields `record.Record`s in event-time order; `schedule.publish` sends them to Kafka at a chosen pace.
"""
