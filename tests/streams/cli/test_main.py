"""The `twins` command: lists quickly, loads only what is called, explains failures in one line."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.errors import TwinsError

MODULES = sorted({module for module, _ in cli.COMMANDS.values()})


@pytest.mark.parametrize("module", MODULES)
def test_every_listed_command_is_registered_by_its_module(module: str) -> None:
    app = typer.Typer()
    importlib.import_module(module).register(app)
    registered = {group.name for group in app.registered_groups} | {it.name for it in app.registered_commands}
    assert {name for name, (owner, _) in cli.COMMANDS.items() if owner == module} == registered


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    shown = CliRunner().invoke(cli.build([name]), [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_json(name: str) -> None:
    root: Any = typer.main.get_command(cli.build([name]))
    without = [
        command.name
        for command in commands(root.commands[name])
        if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert without == []


def commands(command: Any) -> Iterator[Any]:
    """The command, or all commands of the group."""
    inside = getattr(command, "commands", None)
    if inside is None:
        yield command
        return
    for each in inside.values():
        yield from commands(each)


def test_the_list_shows_every_command_and_imports_none(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom streams.cli import main\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        "print(sorted({module for module, _ in main.COMMANDS.values()} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")
    assert [name for name in cli.COMMANDS if name not in done.stdout] == []


def test_an_unknown_command_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["twins", "brocker"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "brocker" in capsys.readouterr().err


def test_an_anticipated_failure_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["twins", "broker", "start"])
    monkeypatch.setenv("TWINS_KAFKA_BOOTSTRAP", "kafka.example:9092")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == TwinsError.exit_code
    said = capsys.readouterr().err
    assert said.startswith("twins: kafka_bootstrap is kafka.example:9092")
    assert said.count("\n") == 1
