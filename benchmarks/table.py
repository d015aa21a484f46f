"""What was measured as one table: each figure beside what is asked of it, or beside its rival.

A ratio above 1 is good: the target over what may be at most, the figure over what must be at least, ours over the
rival's. Where a row says what is compared, the ratio is just that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

LINES_PER_S = 150_000
TENTHS_MAX = 1.2
GROWTH_MAX = 1.05
RETRIEVAL_MS = 2.0
ANSWERS_PER_S = 5_000
KAFKA_TO_OFFLINE, PREFIX_HITS, P99_RATIO, DRAINED_S = 0.95, 0.6, 2.0, 120.0
COLUMNS = ("what", "figure", "target", "ratio")
Found = Mapping[str, Any]
Results = Mapping[str, Found]


@dataclass(frozen=True)
class Row:
    """One line of the table; a figure that nothing is asked of has no target."""

    what: str
    figure: str
    target: str = ""
    ratio: str = ""


def rows_of(results: Results) -> list[Row]:
    """The rows of what was measured, in the order of the table."""
    return [row for name, build in ROWS.items() if name in results for row in build(results[name], results)]


def render(rows: list[Row]) -> str:
    """The rows under their headings, in columns; numbers to the right."""
    texts = [COLUMNS, *(tuple(asdict(row).values()) for row in rows)]
    widths = [max(len(text[column]) for text in texts) for column in range(len(COLUMNS))]
    lines = [
        f"{text[0]:<{widths[0]}}  " + "  ".join(f"{text[i]:>{widths[i]}}" for i in range(1, len(COLUMNS)))
        for text in texts
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _updater(found: Found, _: Results) -> Iterator[Row]:
    yield _at_least("updater, one process on one core", found["lines_per_s"], "lines/s", LINES_PER_S)
    yield Row(
        "  processor time a line; until all statistics of products are published too, after "
        f"{found['seconds_with_products']:.0f} s",
        f"{found['cpu_us_per_line']:.2f}; {found['cpu_us_per_line_with_products']:.2f} µs",
        f"<= {1e6 / LINES_PER_S:.2f} µs",
        f"{1e6 / LINES_PER_S / found['cpu_us_per_line_with_products']:.2f}",
    )
    yield Row(
        "  a line in the last tenth of the year to one in the first, without that",
        f"{found['first_tenth_us_per_line']:.2f} -> {found['last_tenth_us_per_line']:.2f} µs",
        f"<= {TENTHS_MAX}",
        f"{found['last_to_first_tenth']:.2f}",
    )
    yield Row("  memory at its peak", f"{found['memory_peak_mib']:,} MiB")
    yield Row("  state on disk a customer", f"{found['state_bytes_per_customer']:,} bytes")


def _rival_quix(found: Found, results: Results) -> Iterator[Row]:
    ratio = ""
    if "updater" in results:
        ratio = f"{results['updater']['lines_per_s'] / found['lines_per_s']:.1f}"
    yield Row(
        f"Quix Streams {found['version']}, the same twins; its first {found['seconds']:.0f} s "
        f"({100 * found['share_of_receipts']:.0f} % of the receipts)",
        f"{found['lines_per_s']:,} lines/s",
        ratio=ratio,
    )


def _scaling(found: Found, _: Results) -> Iterator[Row]:
    yield Row(
        "two updaters to one, all cores, broker among them",
        f"{found['one_lines_per_s']:,} -> {found['two_lines_per_s']:,} lines/s",
        ratio=f"{found['times_faster']:.2f}",
    )


def _freshness(found: Found, _: Results) -> Iterator[Row]:
    for name in ("busy", "quiet"):
        load = f"{found[f'{name}_lines_per_s']:,} lines/s, {100 * found[f'{name}_updater_cpu_share']:.0f} % of a core"
        yield Row(
            f"receipt to published profile at {load}, p50 / p99",
            f"{found[f'{name}_ms_p50']:,.0f} / {found[f'{name}_ms_p99']:,.0f} ms",
        )


def _state_size(found: Found, _: Results) -> Iterator[Row]:
    years = found["years"]
    for name, what, unit in (
        ("twin_bytes", "a twin", "bytes"),
        ("state_bytes_per_customer", "all state a customer", "bytes"),
        ("memory_mib", "memory of the updater", "MiB"),
        ("cpu_us_per_line", "processor time a line", "µs"),
    ):
        growth = found[f"{name}_grew"]
        yield Row(
            f"{what} after {len(years)} years to a year before",
            f"{years[-2][name]:,} -> {years[-1][name]:,} {unit}",
            f"<= {GROWTH_MAX}",
            f"{growth:.2f}",
        )


def _memory(found: Found, _: Results) -> Iterator[Row]:
    for name, value in found.items():
        if name.endswith("_mib"):
            yield Row(f"memory of the {name.removesuffix('_mib')}", f"{value:,} MiB")


def _retrieval(found: Found, _: Results) -> Iterator[Row]:
    what = f"nearest products of {found['products']:,}, embedded, p50"
    yield _at_most(what, found["embedded_ms_p50"], "ms", RETRIEVAL_MS)
    for name, rival in (("numpy", "numpy, all compared"), ("local_mode", "qdrant-client's local mode")):
        yield Row(
            f"  {rival}",
            f"{found[f'{name}_ms_p50']:.3f} ms",
            ratio=f"{found[f'times_faster_than_{name}']:.1f}",
        )


def _decider(found: Found, _: Results) -> Iterator[Row]:
    for name, kind in found["kinds"].items():
        what = f"answers a second a core: {name}, {kind['options']:.0f} options"
        target = ANSWERS_PER_S if name == "one due item" else None
        yield _at_least(what, round(kind["answers_per_s"]), "answers/s", target)


def _pool(found: Found, _: Results) -> Iterator[Row]:
    worker, alone = found["worker"], found["offline_in_the_workers_order"]
    rate = max(each["answers_per_s"] for each in alone)
    yield Row(
        f"language model, Kafka to Kafka to the same engine alone, prompts of {found['prompt_tokens_mean']:,} tokens",
        f"{worker['answers_per_s']:,} to {rate:,} answers/s",
        f">= {KAFKA_TO_OFFLINE}",
        f"{found['kafka_to_offline']:.2f}",
    )
    yield Row(
        "  prompt tokens in the cache: as the worker asks; in random order",
        f"{100 * worker['prefix_hits']:.0f} %; {100 * found['offline_at_random']['prefix_hits']:.0f} %",
        f">= {100 * PREFIX_HITS:.0f} %",
        f"{worker['prefix_hits'] / PREFIX_HITS:.2f}",
    )


def _swap(found: Found, _: Results) -> Iterator[Row]:
    yield Row(
        f"{found['swaps']} swaps of adapters under load, p99 of a question without and with",
        f"{found['quiet_ms_p99']:,.0f} -> {found['swapping_ms_p99']:,.0f} ms",
        f"<= {P99_RATIO}",
        f"{found['p99_ratio']:.2f}",
    )
    yield Row(
        "  eight adapters mixed to one",
        f"{found['one_adapter_answers_per_s']:,} -> {found['eight_adapters_answers_per_s']:,} answers/s",
        ratio=f"{found['eight_to_one']:.2f}",
    )


def _outage(found: Found, _: Results) -> Iterator[Row]:
    yield Row(
        f"engine killed for {found['away_s']:.0f} s at load: lost, doubled, unmarked of {found['queries']:,} queries",
        f"{found['lost']}, {found['doubled']}, {found['by_evidence_unmarked']}",
        "0, 0, 0",
    )
    drained = found["drained_s"]
    yield Row(
        f"  from the kill until no more wait than before ({found['waiting_before']}; at most {found['waiting_most']})",
        "never" if drained is None else f"{drained:.1f} s",
        f"<= {DRAINED_S:.0f} s",
    )
    yield Row(
        "  query to answer before, without the engine, and after, p50",
        f"{found['before_ms_p50']:,} / {found['away_ms_p50']:,} / {found['after_ms_p50']:,} ms",
    )


def _at_least(what: str, value: float, unit: str, target: float | None) -> Row:
    if target is None:
        return Row(what, f"{value:,} {unit}")
    return Row(what, f"{value:,} {unit}", f">= {target:,}", f"{value / target:.2f}")


def _at_most(what: str, value: float, unit: str, target: float) -> Row:
    return Row(what, f"{value:,} {unit}", f"<= {target:,}", f"{target / value:.2f}")


ROWS: dict[str, Callable[[Found, Results], Iterator[Row]]] = {
    "updater": _updater,
    "rival_quix": _rival_quix,
    "scaling": _scaling,
    "freshness": _freshness,
    "state_size": _state_size,
    "memory": _memory,
    "retrieval": _retrieval,
    "decider": _decider,
    "pool": _pool,
    "swap": _swap,
    "outage": _outage,
}
LANGUAGE = frozenset({"pool", "swap", "outage"})
"""The benchmarks that need vLLM."""
