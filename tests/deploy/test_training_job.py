"""The Job of a training is one that Kubernetes accepts, with nobody's rights and the volumes that there are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams.schedule.book import manual_job
from streams.schedule.kubernetes import manifest, name_of
from streams.schedule.policies import Policies
from streams.schedule.runs import folder_of
from streams.settings import Settings
from tests.deploy.test_manifests import RENDERED, complaints
from twin_store.messages import SchedulePolicy

AT = datetime(2024, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("decider", ["evidence", "vllm"])
def test_the_job_fits_its_schema_and_asks_for_a_gpu_where_it_needs_one(
    offline_settings: Settings, decider: str
) -> None:
    settings = offline_settings.model_copy(update={"schedule_runner": "kubernetes"})
    policies = Policies()
    policies.said["all"] = SchedulePolicy.model_validate(
        {"segment": "all", "decider": decider, "changed_at": AT}
    )
    job = manual_job("regulars", "R 1/ü", AT, policies)
    found = manifest(settings, job, folder_of(settings, job))
    assert complaints(found) == []
    assert len(name_of(job)) <= 63
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (decider == "vllm")
    assert container["args"][:2] == ["train", "challenger"]
    claims = [
        v["persistentVolumeClaim"]["claimName"]
        for v in found["spec"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in v
    ]
    assert all(("PersistentVolumeClaim", claim) in RENDERED["base"] for claim in claims)
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in found["spec"]["template"]["spec"]["volumes"]
    }
