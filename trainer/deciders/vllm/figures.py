"""What vLLM counts of itself, for the metrics of the process that it runs in.

vLLM registers its metrics with the default registry of `prometheus_client`; those of an engine that has died make room
for those of the next.
"""

from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY, Metric

PREFIX = "vllm:"
ASKED, FOUND = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"


class EngineFigures:
    """A collector of vLLM's metrics, under vLLM's names, for another registry. Nothing while there is no engine."""

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        yield from (metric for metric in REGISTRY.collect() if metric.name.startswith(PREFIX))

    def describe(self) -> list[Any]:
        """None beforehand: they are known once there is an engine."""
        return []


def prefix_cache() -> tuple[float, float]:
    """Tokens of prompts that the prefix cache was asked for, and those it had, of the engine since its start."""
    samples = [sample for metric in EngineFigures().collect() for sample in metric.samples]
    asked = sum(sample.value for sample in samples if sample.name == ASKED)
    return asked, sum(sample.value for sample in samples if sample.name == FOUND)
