"""How much of a language model's speed is left from Kafka to Kafka, and what the order of prompts does for its cache.

    .venv-vllm/bin/python -m benchmarks.pool [--queries N] [--in-flight N] [--cache-mib N] [--json]

A town's receipts are folded, queries about its customers are published in random order, and a worker answers them with
a small base on vLLM. The very prompts that it put to the engine are then put to the same engine without Kafka: once in
random order, once with those of a segment and a customer together, and once in the order that the worker had. Each
time the prefix cache begins empty. All runs share the machine, the engine and its settings.

The cache is small on purpose: it holds a few dozen prompts, so that the order tells. `kafka_to_offline` is answers a
second, from the first prompt to the last committed answer, against the faster of two runs without Kafka in the
worker's order, before and after the worker's; `prefix_hits` is the share of prompt tokens that was in the cache.
"""

from typing import Any

from benchmarks.command import run_alone


def measure(
    queries: int = 240, in_flight: int = 64, cache_mib: int = 24, people: int = 120
) -> dict[str, Any]:
    """Answers a second with and without Kafka, and the shares of the prefix cache."""
    # Not above: the engine's process imports this module again, and vLLM's CPU build does not start where numba has
    # been imported before it (it walks through all modules, and trips over llvmlite's wrapper of its library).
    from benchmarks.pool_runs import measure as measured

    return measured(queries, in_flight, cache_mib, people)


if __name__ == "__main__":
    run_alone(__doc__, measure)
