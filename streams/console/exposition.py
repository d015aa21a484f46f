"""The metrics of all processes of this machine as one, in Prometheus's text format."""

from __future__ import annotations

import math

from streams.overview import Metrics

SKIPPED = ("process_", "python_")  # of one process each: there is no sum of start times


def exposition(metrics: Metrics) -> str:
    """The sums by name. Types are left out: a sum of gauges is a gauge, and of counters a counter."""
    lines = []
    for name, value in sorted(metrics.totals.items()):
        if not name.startswith(SKIPPED) and not name.endswith("_created"):
            lines.append(f"{name} {value:g}" if value % 1 else f"{name} {value:.0f}")
    for name, buckets in sorted(metrics.histograms.items()):
        for bound, count in sorted(buckets.items()):
            edge = "+Inf" if math.isinf(bound) else f"{bound:g}"
            lines.append(f'{name}_bucket{{le="{edge}"}} {count:.0f}')
    return "\n".join(lines) + "\n"
