"""A training as a Kubernetes Job: the manifest, and `kubectl` to start, watch and end it.

The pod shares the lake and the registry with the scheduler; its result lies in the registry's folder, which both see.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import xxhash

from streams.schedule.runs import command_of
from streams.settings import Settings
from twin_store.messages import TrainingJob

DATA = "/var/lib/twins"
CLAIMS = {"lake": True, "models": False}  # whether it is only read
KEPT_S = 86_400
FAILED = 1


def name_of(job: TrainingJob) -> str:
    """A name that Kubernetes takes, one a job and attempt."""
    return f"training-{xxhash.xxh3_64_hexdigest(job.job_id.encode())}-{job.attempt}"


def manifest(settings: Settings, job: TrainingJob, folder: Path) -> dict[str, Any]:
    """The Job that trains: one pod, not tried again by the cluster since the scheduler does that."""
    labels = {"app.kubernetes.io/name": "training", "app.kubernetes.io/part-of": "shopping-twins"}
    limits: dict[str, Any] = {"memory": "16Gi"}
    if job.decider == "vllm":
        limits["nvidia.com/gpu"] = 1
    container = {
        "name": "twins",
        "image": settings.schedule_image,
        "args": command_of(job, folder),
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "OMP_NUM_THREADS", "value": "1"}],
        "envFrom": [
            {"configMapRef": {"name": "twins-settings"}},
            {"secretRef": {"name": "twins-secrets"}},
        ],
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "certificates", "mountPath": "/etc/twins/certificates", "readOnly": True},
            *(
                {"name": name, "mountPath": f"{DATA}/{name}", "readOnly": is_read_only}
                for name, is_read_only in CLAIMS.items()
            ),
        ],
    }
    volumes = [
        {"name": "data", "emptyDir": {"sizeLimit": "20Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "certificates", "secret": {"secretName": "twins-certificates"}},
        *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in CLAIMS),
    ]
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(job), "labels": labels, "annotations": {"twins/job": job.job_id}},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


class KubernetesRun:
    """See `streams.schedule.runs.Run`. It outlives its scheduler: the next one finds the result that it leaves."""

    def __init__(self, settings: Settings, job: TrainingJob, folder: Path) -> None:
        """Raises `OSError` if `kubectl` is not there, or the cluster does not take the Job."""
        self.folder = folder
        self._name = name_of(job)
        body = json.dumps(manifest(settings, job, folder)).encode()
        done = subprocess.run(["kubectl", "apply", "-f", "-"], input=body, capture_output=True, check=False)
        if done.returncode:
            raise OSError(f"kubectl: {done.stderr.decode(errors='replace').strip()}")

    def poll(self) -> int | None:
        """See `Run`. A cluster that does not answer now has said nothing."""
        done = subprocess.run(
            ["kubectl", "get", "job", self._name, "-o", "json"], capture_output=True, check=False
        )
        if done.returncode:
            return None
        status = json.loads(done.stdout).get("status", {})
        return 0 if status.get("succeeded") else FAILED if status.get("failed") else None

    def stop(self) -> None:
        """See `Run`."""
        subprocess.run(
            ["kubectl", "delete", "job", self._name, "--wait=true"], capture_output=True, check=False
        )
