"""The manifests say of processes, topics, groups, ports and settings what the code says."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from streams.cli.main import build
from streams.kafka import group_name, topic_name
from streams.lane import KAFKA_TIMEOUT_S
from streams.processes import PROCESS_BY_NAME, PROCESSES
from streams.settings import ENV_PREFIX, Settings, variable
from tests.deploy.known import KNOWN_SETTINGS
from tests.deploy.rendered import Object, documents
from tests.deploy.test_manifests import FOLDERS, KUBERNETES, RENDERED, ROOT, WORKLOADS

DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()
NAMED = {
    "updater",
    "indexer",
    "planner",
    "worker",
    "settler",
    "drift",
    "scheduler",
}  # their members have names, state, or both
CONFIG: dict[str, str] = RENDERED["base"]["ConfigMap", "twins-settings"]["data"]
SECRETS: dict[str, str] = documents(KUBERNETES / "base" / "secrets.example.yaml")[0]["stringData"]
# As KEDA's scaler of Kafka has them.
TRIGGER_OPTIONS = {
    *("bootstrapServers", "consumerGroup", "topic", "lagThreshold", "activationLagThreshold"),
    *("offsetResetPolicy", "allowIdleConsumers", "scaleToZeroOnInvalidOffset", "excludePersistentLag"),
    *("limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions", "partitionLimitation", "version"),
    *("sasl", "tls"),
}


def workload(folder: str, name: str) -> Object:
    """The stateful set or deployment of a process."""
    (found,) = [
        each
        for (kind, of), each in RENDERED[folder].items()
        if of == name and kind in ("StatefulSet", "Deployment")
    ]
    return found


def container_of(each: Object) -> Object:
    """Its one container."""
    (container,) = each["spec"]["template"]["spec"]["containers"]
    return container


def settings_of(folder: str, name: str) -> Settings:
    """What a part there runs with. Fails for a setting that there is not, or a value that is none."""
    own = {env["name"]: env["value"] for env in container_of(workload(folder, name))["env"] if "value" in env}
    values: dict[str, Any] = {**CONFIG, **SECRETS, **own}
    ours = {key: value for key, value in values.items() if key.startswith(ENV_PREFIX)}
    assert set(ours) <= KNOWN_SETTINGS
    return Settings(**{key.removeprefix(ENV_PREFIX).lower(): value for key, value in ours.items()})


SETTINGS = settings_of("base", "updater")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_process_runs_there_and_nothing_else(folder: str) -> None:
    found = {name: kind for kind, name in RENDERED[folder] if kind in ("StatefulSet", "Deployment")}
    assert set(found) == set(PROCESS_BY_NAME)
    assert {name for name, kind in found.items() if kind == "StatefulSet"} == NAMED


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_container_runs_a_command_that_there_is_in_an_image_that_there_is(folder: str) -> None:
    for (kind, name), each in RENDERED[folder].items():
        if kind not in WORKLOADS:
            continue
        container = container_of(each)
        arguments = list(container["args"])
        if kind != "Job":
            member = ["--member", "$(MEMBER)"] if name in NAMED else []
            assert arguments == ["run", name, *member]
        command: Any = typer.main.get_command(build(arguments))
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context(command.name, arguments)
        target = container["image"].removeprefix("shopping-twins-")
        assert f"\nFROM base AS {target}\n" in DOCKERFILE


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", PROCESS_BY_NAME)
def test_a_part_starts_with_settings_that_there_are(folder: str, name: str) -> None:
    settings = settings_of(folder, name)
    assert settings.kafka_security_protocol == "SASL_SSL"
    assert settings.bind_host == "0.0.0.0"


def test_no_secret_is_among_the_settings_that_are_none() -> None:
    secrets = {
        variable(name)
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert "TWINS_OPENAI_API_KEY" in secrets
    for folder in FOLDERS:
        given = {
            env["name"] for name in PROCESS_BY_NAME for env in container_of(workload(folder, name))["env"]
        }
        assert not secrets & (given | set(RENDERED[folder]["ConfigMap", "twins-settings"]["data"]))


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", PROCESS_BY_NAME)
def test_a_part_is_asked_how_it_is_where_it_answers(folder: str, name: str) -> None:
    container = container_of(workload(folder, name))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == SETTINGS.metrics_port
    assert ports.get("http", SETTINGS.console_port) == SETTINGS.console_port
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    service = RENDERED[folder]["Service", name]["spec"]
    assert {port["name"]: port["port"] for port in service["ports"]} == ports
    assert service["selector"] == {"app.kubernetes.io/name": name}


def test_the_console_looks_at_every_part() -> None:
    urls = SETTINGS.scrape_urls.split(",")
    assert sorted(urls) == sorted(f"http://{name}:{SETTINGS.metrics_port}" for name in PROCESS_BY_NAME)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", PROCESS_BY_NAME)
def test_a_part_has_the_time_to_end_well(folder: str, name: str) -> None:
    """A transaction as long as it may get, and then the brokers' answer."""
    pod = workload(folder, name)["spec"]["template"]["spec"]
    longest = settings_of(folder, name).transaction_timeout_ms / 1000 + KAFKA_TIMEOUT_S
    assert pod["terminationGracePeriodSeconds"] > longest


@pytest.mark.parametrize("folder", FOLDERS)
def test_one_member_at_a_time_may_be_taken_away(folder: str) -> None:
    budgets = {name: each for (kind, name), each in RENDERED[folder].items() if kind == "PodDisruptionBudget"}
    assert set(budgets) == set(PROCESS_BY_NAME)
    for name, each in budgets.items():
        assert each["spec"] == {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        }


@pytest.mark.parametrize("folder", FOLDERS)
def test_parts_scale_by_the_lag_of_their_own_group_on_what_they_read(folder: str) -> None:
    scaled = {name: each for (kind, name), each in RENDERED[folder].items() if kind == "ScaledObject"}
    assert set(scaled) == {"updater", "planner", "worker", "settler"}
    for name, each in scaled.items():
        spec = each["spec"]
        assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name}
        # One without partitions would never be ready.
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= SETTINGS.partitions
        assert "replicas" not in workload(folder, name)["spec"], "it would undo the scaling whenever applied"
        read = {topic_name(SETTINGS, topic) for topic in PROCESS_BY_NAME[name].reads}
        for trigger in spec["triggers"]:
            assert trigger["type"] == "kafka"
            assert trigger["authenticationRef"] == {"name": "kafka"}
            options = trigger["metadata"]
            assert set(options) <= TRIGGER_OPTIONS
            assert options["bootstrapServers"] == SETTINGS.kafka_bootstrap
            assert options["consumerGroup"] == group_name(SETTINGS, name)
            assert options["topic"] in read
            assert int(options["lagThreshold"]) > 0
            assert options["sasl"] == (SETTINGS.kafka_sasl_mechanism or "").lower().replace(
                "sha-", "sha"
            ).replace("-", "_")
            assert options["tls"] == "enable"


def test_the_scaler_has_the_secrets_that_the_parts_have() -> None:
    keys = {
        key: each
        for each in documents(KUBERNETES / "base" / "secrets.example.yaml")
        for key in each["stringData"]
    }
    for wanted in RENDERED["base"]["TriggerAuthentication", "kafka"]["spec"]["secretTargetRef"]:
        assert keys[wanted["key"]]["metadata"]["name"] == wanted["name"]
    authority = f"/etc/twins/certificates/{'ca.crt'}"
    assert str(SETTINGS.kafka_ssl_ca_location) == authority


@pytest.mark.parametrize("process", [each.name for each in PROCESSES if each.reads])
def test_a_part_may_reach_kafka_and_names(process: str) -> None:
    labels = workload("base", process)["spec"]["template"]["metadata"]["labels"]
    policy = RENDERED["base"]["NetworkPolicy", "names-and-kafka"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {53, int(SETTINGS.kafka_bootstrap.rpartition(":")[2])}
    host = SETTINGS.kafka_bootstrap.partition(":")[0]
    (namespace,) = [
        to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in policy["egress"]
        for to in rule["to"]
        if "podSelector" not in to
    ]
    assert host.split(".")[1] == namespace
