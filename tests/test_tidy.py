"""The rules of the house that a machine can check: who imports whom, what is pure, what is named where."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topics

ROOT = Path(__file__).parent.parent
PACKAGES = ("streams", "trainer", "twin_store")

# A package may import the ones below it, never one above.
ABOVE = {"twin_store": {"trainer", "streams"}, "trainer": {"streams"}, "streams": set()}

# What the fold and its readers must not touch: law 1 says no clock, no I/O and no randomness.
PURE = ("twin_store/dna", "twin_store/prompts", "twin_store/segments")
IMPURE_MODULES = {
    *("asyncio", "datetime", "io", "os", "pathlib", "random", "secrets", "shutil", "socket", "subprocess"),
    *("sys", "tempfile", "threading", "time", "uuid", "confluent_kafka", "fsspec", "rocksdict"),
}
IMPURE_NAMES = {"open", "print", "input"}
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "random", "default_rng", "perf_counter", "monotonic"}

# What the core installation does not have; `streams.updater` and everything it imports must do without.
NOT_CORE = (
    *(
        "faust",
        "aiokafka",
        "qdrant_client",
        "qdrant_edge",
        "lightgbm",
        "sklearn",
        "matplotlib",
        "trl",
        "peft",
    ),
    *("torch", "transformers", "sentence_transformers", "quixstreams", "apscheduler", "river", "vllm"),
)

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "stuff"}


def sources(*folders: str) -> list[Path]:
    """The Python files below these folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def upward_imports(package: str, tree: ast.AST) -> list[tuple[int, str]]:
    return [(line, name) for line, name in imported(tree) if name.partition(".")[0] in ABOVE[package]]


def impurities(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, name) of every clock, source of randomness or I/O that a module could reach."""
    found = [(line, name) for line, name in imported(tree) if name.partition(".")[0] in IMPURE_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_NAMES:
            found.append((node.lineno, node.func.id))
        elif isinstance(node, ast.Attribute) and node.attr in IMPURE_ATTRIBUTES:
            found.append((node.lineno, node.attr))
    return found


def written_topics(tree: ast.AST, names: set[str]) -> list[tuple[int, str]]:
    """(line, name) of every topic name written as a string. A CloudEvents type may well read the same."""
    event_types = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "event_type"
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value in names and id(node) not in event_types
    ]


def where(path: Path, findings: list[tuple[int, str]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line}: {name}" for line, name in findings]


def test_packages_depend_only_downwards() -> None:
    found = [
        line
        for package in PACKAGES
        for path in sources(package)
        for line in where(path, upward_imports(package, parse(path)))
    ]
    assert found == []


def test_the_fold_has_no_clock_no_io_and_no_randomness() -> None:
    paths = sources(*PURE)
    assert paths, "the fold has moved: correct PURE"
    assert [line for path in paths for line in where(path, impurities(parse(path)))] == []


def test_topics_are_named_only_in_their_registry() -> None:
    names = {topic.name for topic in vars(topics).values() if isinstance(topic, topics.Topic)}
    assert "retail.transactions" in names
    found = [
        line
        for path in sources(*PACKAGES)
        if path != ROOT / "streams" / "topics.py"
        for line in where(path, written_topics(parse(path), names))
    ]
    assert found == []


def test_modules_say_what_they_are_for() -> None:
    paths = sources(*PACKAGES, "tests")
    vague = [str(path.relative_to(ROOT)) for path in paths if {path.stem, path.parent.name} & VAGUE_NAMES]
    assert vague == []
    silent = [
        str(path.relative_to(ROOT)) for path in sources(*PACKAGES) if not ast.get_docstring(parse(path))
    ]
    assert silent == []


def test_nothing_is_pickled() -> None:
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    found = [
        line
        for path in sources(*PACKAGES)
        for line in where(path, [hit for hit in imported(parse(path)) if hit[1].partition(".")[0] in banned])
    ]
    assert found == []


def test_no_module_loads_torch_when_imported() -> None:
    """Torch takes seconds and hundreds of megabytes: it is imported by the call that needs it."""
    modules = [name for package in PACKAGES for name in module_names(package)]
    program = "import importlib, sys\n"
    program += f"for name in {modules!r}: importlib.import_module(name)\n"
    program += "print(sorted({'torch', 'transformers', 'sentence_transformers', 'vllm'} & set(sys.modules)))"
    assert run_python(program) == "[]"


def test_the_hot_lane_needs_only_the_core_installation() -> None:
    modules = [
        name
        for name in module_names("streams")
        if name.startswith(("streams.updater", "streams.cli.main", "streams.lake"))
    ]
    assert "streams.cli.main" in modules
    program = "import importlib, sys\n"
    program += f"sys.modules.update(dict.fromkeys({NOT_CORE!r}))  # None makes an import fail\n"
    program += f"for name in {modules!r}: importlib.import_module(name)\n"
    program += "print('imported')"
    assert run_python(program) == "imported"


def module_names(package: str) -> list[str]:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources(package)]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def run_python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from datetime import datetime",
        "def f(x):\n    import random\n    return x",
        "open('x')",
        "x = clock.now()",
        "y = np.random.rand(3)",
    ],
)
def test_an_impure_fold_would_be_found(text: str) -> None:
    assert impurities(ast.parse(text))


def test_an_upward_import_would_be_found() -> None:
    assert upward_imports("twin_store", ast.parse("def f():\n    from streams.topics import STATE"))
    assert upward_imports("trainer", ast.parse("import streams"))
    assert not upward_imports("streams", ast.parse("import trainer, twin_store"))


def test_a_topic_written_elsewhere_would_be_found() -> None:
    assert written_topics(ast.parse("subscribe(['a.topic'])"), {"a.topic"})
