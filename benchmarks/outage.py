"""What an outage of the language model's engine costs: it is killed under load, and stays away for a minute.

    .venv-vllm/bin/python -m benchmarks.outage [--seconds N] [--per-s N] [--json]

Queries about a made-up town's customers come at a steady rate, and a worker answers them with a small base on vLLM. The
engine is killed as the kernel does when memory is short, and no other may start before `seconds` are over. Every query
must be answered once; those that the evidence decider answered must say why. `waiting` is how many queries were
published and not answered, `drained_s` the seconds from the kill, and from the engine's return, until no more of them
wait than the most that did in the ten seconds before the kill.
"""

from typing import Any

from benchmarks.command import run_alone


def measure(seconds: float = 60.0, per_s: float = 10.0, before: float = 30.0) -> dict[str, Any]:
    """Queries lost, doubled and degraded, how many waited, and for how long."""
    # Not above, for the reason that `benchmarks.pool` gives.
    from benchmarks.outage_runs import measure_outage

    return measure_outage(seconds, per_s, before)


if __name__ == "__main__":
    run_alone(__doc__, measure)
