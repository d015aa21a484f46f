"""What `kubectl kustomize` makes of a folder, for the part of kustomize that ours use: resources, patches by strategic
merge, and a namespace.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
# By which field the items of a list are told apart; lists not named here are replaced as a whole.
MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
ON_CUSTOM_RESOURCES = ("keda.sh/v1alpha1",)  # of them kustomize knows no such field
CLUSTER_WIDE = ("Namespace",)


def render(folder: Path) -> dict[tuple[str, str], Object]:
    """All objects by kind and name."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "namespace", "resources", "patches"}
    assert set(wanted) <= known, f"{folder}: {set(wanted) - known} is not understood here"
    objects: dict[tuple[str, str], Object] = {}
    for resource in wanted["resources"]:
        path = folder / resource
        found = render(path) if path.is_dir() else {key_of(each): each for each in documents(path)}
        assert not set(found) & set(objects), f"{folder}: twice the same object"
        objects |= found
    for patch in wanted.get("patches", []):
        (change,) = documents(folder / patch["path"])
        target = patch.get("target")
        hit = [key for key in objects if (key[0] == target["kind"] if target else key == key_of(change))]
        assert hit, f"{folder}: {patch} changes nothing"
        for key in hit:
            by = {} if objects[key]["apiVersion"] in ON_CUSTOM_RESOURCES else MERGED_BY
            body = {name: value for name, value in change.items() if name not in ("apiVersion", "kind")}
            if target:
                body["metadata"] = {k: v for k, v in body["metadata"].items() if k != "name"}
            objects[key] = merged(objects[key], body, by)
    for (kind, _), each in objects.items():
        if "namespace" in wanted and kind not in CLUSTER_WIDE:
            each["metadata"]["namespace"] = wanted["namespace"]
    return objects


def documents(path: Path) -> list[Object]:
    """The objects of a file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def key_of(each: Object) -> tuple[str, str]:
    """Kind and name."""
    return each["kind"], each["metadata"]["name"]


def merged(base: Any, change: Any, by: dict[str, str], name: str = "") -> Any:
    """A strategic merge: the change wins, objects are merged, and lists too where their items have a key."""
    if isinstance(base, dict) and isinstance(change, dict):
        result = copy.deepcopy(base)
        for field, value in change.items():
            result[field] = (
                merged(result[field], value, by, field) if field in result else copy.deepcopy(value)
            )
        return result
    if isinstance(base, list) and isinstance(change, list) and name in by:
        key = by[name]
        items = {item[key]: item for item in copy.deepcopy(base)}
        for item in change:
            items[item[key]] = (
                merged(items[item[key]], item, by) if item[key] in items else copy.deepcopy(item)
            )
        return list(items.values())
    return copy.deepcopy(change)
