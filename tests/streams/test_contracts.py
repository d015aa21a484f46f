"""What is checked in under docs/ is what the code says, holds together, and describes real messages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker

from streams.contracts import (
    ASYNCAPI,
    SCHEMAS,
    TABLE_PAGE,
    ContractError,
    asyncapi,
    export,
    generate,
    json_schema,
    message_types,
    stale_files,
    topic_table,
)
from streams.topics import TOPICS
from twin_store.messages import Message

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
GOLDEN = ROOT / "tests" / "golden" / "messages"
VERSIONS = [
    pytest.param(model, path.stem, id=f"{model.event_type}-{path.stem}")
    for model in message_types()
    for path in sorted((GOLDEN / model.event_type).glob("*.json"))
]
each_model = pytest.mark.parametrize("model", message_types(), ids=lambda model: model.event_type)


def golden(model: type[Message], version: str = "1.0") -> dict[str, Any]:
    return dict(json.loads((GOLDEN / model.event_type / f"{version}.json").read_text("utf-8")))


def test_the_checked_in_contracts_are_up_to_date() -> None:
    stale = [str(path.relative_to(ROOT)) for path in stale_files(DOCS)]
    assert stale == [], "run `make docs` and commit what it writes"


# JSON Schemas


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_schemas_take_what_the_models_take_and_refuse_another_major(
    model: type[Message], version: str
) -> None:
    schema = json_schema(model)
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema, format_checker=FormatChecker())
    body = golden(model, version)
    assert list(validator.iter_errors(body)) == []
    assert list(validator.iter_errors(body | {"version": "1.7", "of_the_future": 1})) == []
    assert [error.json_path for error in validator.iter_errors(body | {"version": "2.0"})] == ["$.version"]


@each_model
def test_schemas_hold_to_the_limits_of_the_models(model: type[Message]) -> None:
    validator = Draft7Validator(json_schema(model))
    body = golden(model)
    for name, field in model.model_fields.items():
        if field.is_required():
            assert not validator.is_valid({key: value for key, value in body.items() if key != name})


# AsyncAPI


def test_every_topic_is_a_channel_with_its_kafka_settings() -> None:
    channels = asyncapi()["channels"]
    assert [channel["address"] for channel in channels.values()] == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        binding = channels[topic.name]["bindings"]["kafka"]
        config = binding["topicConfiguration"]
        assert set(config["cleanup.policy"]) == set(topic.cleanup.split(","))
        assert config["max.message.bytes"] == topic.max_message_bytes
        assert config.get("retention.ms") == (topic.retention_ms if "delete" in topic.cleanup else None)
        assert binding["partitions"] == topic.partitions or topic.partitions is None


def test_every_owner_writes_and_every_reader_reads() -> None:
    found = {
        (operation["tags"][0]["name"], operation["action"], operation["channel"]["$ref"])
        for operation in asyncapi()["operations"].values()
    }
    owners = {(topic.owner, "send", f"#/channels/{topic.name}") for topic in TOPICS}
    readers = {
        (reader, "receive", f"#/channels/{topic.name}") for topic in TOPICS for reader in topic.readers
    }
    assert found == owners | readers


def test_every_reference_leads_somewhere() -> None:
    document = json.loads((DOCS / ASYNCAPI).read_text("utf-8"))
    references = list(references_in(document))
    assert len(references) > len(TOPICS)
    for reference in references:
        file, _, pointer = reference.partition("#")
        if file:
            Draft7Validator.check_schema(
                json.loads((DOCS / ASYNCAPI).parent.joinpath(file).read_text("utf-8"))
            )
        target = document
        for step in pointer.strip("/").split("/") if not file else ():
            target = target[step]


def test_payloads_and_keys_are_described() -> None:
    messages = asyncapi()["components"]["messages"]
    binary = {name for name, message in messages.items() if "payload" not in message}
    assert binary == {f"{topic.name}.binary" for topic in TOPICS if topic.message is None}
    for topic in TOPICS:
        if topic.message is not None:
            message = messages[topic.message.cloud_event_type()]
            assert message["bindings"]["kafka"]["key"]["description"] == topic.key
            assert message["payload"]["schema"]["$ref"] == f"schemas/{topic.message.cloud_event_type()}.json"


# The table, and the command


def test_the_table_has_a_row_a_topic() -> None:
    rows = topic_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [topic.name for topic in TOPICS]
    assert {row.count(" | ") for row in rows} == {7}


def test_the_command_mends_what_is_stale(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(DOCS / TABLE_PAGE, docs)
    export(docs)
    schema = docs / SCHEMAS / "retail.click.v1.json"
    schema.write_text("{}")
    obsolete = docs / SCHEMAS / "retail.gone.v1.json"
    obsolete.write_text("{}")
    page = docs / TABLE_PAGE
    page.write_text(page.read_text("utf-8").replace("| `twins.state` |", "| `twins.status` |"), "utf-8")
    stale = [str(page), str(schema), str(obsolete)]

    code, output = twins("contracts", "export", "--check", "--json", "--docs", str(docs))
    assert (code, json.loads(output)) == (1, {"stale": stale})
    code, output = twins("contracts", "export", "--docs", str(docs))
    assert (code, output.splitlines()) == (0, [f"written {path}" for path in stale])
    assert twins("contracts", "export", "--check", "--docs", str(docs)) == (0, "")
    assert not obsolete.exists()


def test_a_page_without_the_markers_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"architecture\.md is missing"):
        generate(tmp_path)
    (tmp_path / TABLE_PAGE).write_text("# Architecture\n")
    with pytest.raises(ContractError, match="needs a line"):
        generate(tmp_path)


def references_in(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref":
                yield value
            else:
                yield from references_in(value)
    elif isinstance(document, list):
        for item in document:
            yield from references_in(item)


def twins(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    command = [Path(sys.executable).with_name("twins"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
