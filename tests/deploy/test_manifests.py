"""The manifests for a cluster are what Kubernetes and KEDA accept, and what their parts need is among them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.deploy.rendered import Object, documents, key_of, render

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
FOLDERS = ("base", "overlays/gpu", "overlays/openai")
SCHEMAS = [
    json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "schemas").glob("*.json"))
]
RENDERED = {folder: render(KUBERNETES / folder) for folder in FOLDERS}
EVERYTHING = [
    pytest.param(each, id=f"{folder}-{kind}-{name}")
    for folder, objects in RENDERED.items()
    for (kind, name), each in objects.items()
]
WORKLOADS = ("StatefulSet", "Deployment", "Job")
PODS = [
    pytest.param(each["spec"]["template"]["spec"], id=f"{folder}-{name}")
    for folder, objects in RENDERED.items()
    for (kind, name), each in objects.items()
    if kind in WORKLOADS
]


def complaints(each: Object) -> list[str]:
    """What the schema of its kind has against an object; a kind without a schema is a complaint itself."""
    for schema in SCHEMAS:
        if each["kind"] in schema["kinds"]:
            whole = {
                "$ref": f"#/definitions/{schema['kinds'][each['kind']]}",
                "definitions": schema["definitions"],
            }
            return [
                f"{error.json_path}: {error.message}" for error in Draft7Validator(whole).iter_errors(each)
            ]
    return [f"no schema of {each['kind']}"]


@pytest.mark.parametrize("each", EVERYTHING)
def test_an_object_fits_its_schema(each: Object) -> None:
    assert complaints(each) == []


def test_the_example_of_secrets_fits_too() -> None:
    assert [complaints(each) for each in documents(KUBERNETES / "base" / "secrets.example.yaml")] == [[], []]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("StatefulSet", ("spec", "template", "spec", "containers", 0, "readinesProbe"), {}),
        ("StatefulSet", ("spec", "template", "spec", "terminationGracePeriodSeconds"), "long"),
        ("Deployment", ("apiVersion",), "apps/v2"),
        ("ScaledObject", ("spec", "maxReplicas"), 3),
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagThreshold"), 3),
        ("TriggerAuthentication", ("spec", "secretTargetRef", 0, "secret"), "x"),
        ("NetworkPolicy", ("spec", "ingres"), []),
    ],
)
def test_a_mistake_would_be_found(kind: str, path: tuple[str | int, ...], value: Any) -> None:
    each = next(object_ for (found, _), object_ in RENDERED["base"].items() if found == kind)
    wrong = json.loads(json.dumps(each))
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert complaints(wrong)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="compares with kubectl, which is not installed")
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_tested_is_what_kubectl_applies(folder: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / folder)], capture_output=True, text=True, check=True
    )
    applied = {key_of(each): each for each in yaml.safe_load_all(done.stdout)}
    assert set(applied) == set(RENDERED[folder])
    for key, each in applied.items():
        assert _ordered(each) == _ordered(RENDERED[folder][key])


def _ordered(value: Any) -> Any:
    """Without the order of lists: where a patch puts its items is not told apart here."""
    if isinstance(value, dict):
        return {name: _ordered(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted((_ordered(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_has_nobodys_rights(pod: Object) -> None:
    security = pod["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(pod)
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("pod", PODS)
def test_a_container_says_what_it_needs(pod: Object) -> None:
    for container in pod["containers"]:
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_referred_to_is_there(folder: str) -> None:
    objects = RENDERED[folder]
    secrets = {key_of(each)[1] for each in documents(KUBERNETES / "base" / "secrets.example.yaml")}
    for (kind, _), each in objects.items():
        if kind not in WORKLOADS:
            continue
        pod = each["spec"]["template"]["spec"]
        claimed = {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert not claimed & set(volumes)
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in objects
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes) | claimed
            assert container["envFrom"] == [
                {"configMapRef": {"name": "twins-settings"}},
                {"secretRef": {"name": "twins-secrets"}},
            ]
    assert ("ConfigMap", "twins-settings") in objects
    assert "twins-secrets" in secrets


@pytest.mark.parametrize("folder", FOLDERS)
def test_selectors_find_their_pods(folder: str) -> None:
    objects = RENDERED[folder]
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for (kind, _), each in objects.items()
        if kind in WORKLOADS
    ]
    for (kind, name), each in objects.items():
        match kind:
            case "Service":
                selector = each["spec"]["selector"]
            case "PodDisruptionBudget" | "StatefulSet" | "Deployment":
                selector = each["spec"]["selector"]["matchLabels"]
            case "NetworkPolicy":
                selector = each["spec"]["podSelector"].get("matchLabels", {})
            case _:
                continue
        assert any(selector.items() <= each.items() for each in labels), (kind, name)


def test_everything_is_forbidden_that_is_not_allowed() -> None:
    policy = RENDERED["base"]["NetworkPolicy", "nothing"]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_worker_with_a_model_has_a_gpu_to_itself() -> None:
    pod = RENDERED["overlays/gpu"]["StatefulSet", "worker"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    others = [
        each
        for (kind, name), each in RENDERED["overlays/gpu"].items()
        if kind in WORKLOADS and name != "worker"
    ]
    assert "nvidia.com/gpu" not in json.dumps(others)
