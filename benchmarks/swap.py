"""What a swap of adapters costs the questions that are asked meanwhile, and what it costs to mix eight adapters.

    python -m benchmarks.swap [--swaps N] [--questioners N] [--json]

Run it in the environment of `make setup-vllm`. Four segments are asked all the time, while every release goes the whole
way: through the topic, checked, loaded, tried out, routed to, and the old version retired. Spells with and without
swaps take turns, since the machine is not the same from one minute to the next; so do rounds of one adapter and of
eight.
"""

from typing import Any

from benchmarks.command import run_alone


def measure(swaps: int = 20, questioners: int = 24) -> dict[str, Any]:
    """Milliseconds a question with and without swaps, and answers a second of one adapter and of eight mixed."""
    # vLLM's own process imports this module again, and does not start where numba is (vllm/triton_utils/dispatcher.py
    # looks into every object of every module, and llvmlite's answers to any name).
    from benchmarks.swapping import measure_swaps

    return measure_swaps(swaps, questioners)


if __name__ == "__main__":
    run_alone(__doc__, measure)
