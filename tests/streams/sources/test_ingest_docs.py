"""What docs/ingest.md shows is what happens."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.errors import TwinsError
from streams.settings import Settings, variable
from streams.topic_admin import apply_topics

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "ingest.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands() -> Iterator[tuple[str, list[str]]]:
    """(command, lines it prints) of every console block."""
    for block in blocks("console"):
        command, *output = block.splitlines()
        yield command.removeprefix("$ "), output


@pytest.mark.broker
def test_every_command_does_what_the_page_shows(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kafka_bootstrap", "topic_prefix", "data_dir"):
        monkeypatch.setenv(variable(name), str(getattr(settings, name)))
    monkeypatch.chdir(ROOT)
    apply_topics(settings)
    ran = 0
    for command, expected in commands():
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value)
            continue
        shown = run(command).replace(str(settings.data_dir), ".twins").replace(settings.topic_prefix, "")
        lines = shown.splitlines()
        if expected[0] == "...":
            expected = expected[1:]
            lines = lines[-len(expected) :]
        assert lines == expected
        ran += 1
    assert ran == 4


def run(command: str) -> str:
    """What the command prints to its output, or the error it ends with."""
    arguments = command.removeprefix("twins ").split()
    done = CliRunner().invoke(cli.build(arguments), arguments)
    if isinstance(done.exception, TwinsError):
        return f"twins: {done.exception}"
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_mappings_shown_are_those_of_the_examples() -> None:
    files = [ROOT / "examples" / "ingest" / name for name in ("till.toml", "orders.toml")]
    shown = [tomllib.loads(block) for block in blocks("toml")]
    assert shown == [tomllib.loads(path.read_text(encoding="utf-8")) for path in files]


def test_the_rows_shown_are_in_the_example() -> None:
    lines = (ROOT / "examples" / "ingest" / "till.csv").read_text(encoding="utf-8").splitlines()
    (block,) = blocks("csv")
    assert [line for line in block.splitlines() if line != "..." and line not in lines] == []
