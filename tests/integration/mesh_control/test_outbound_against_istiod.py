"""What sidecars send, compiled by a real istiod and by us: the cases of ``istiod/sent``, and random worlds, by seed alone.

Compared are the listeners and tables for what applications send; clusters, and what is sent to applications, have cases of
their own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import istiod_cases, random_outbound
from tests.support.istio_compiler import Asker, Istiod
from tests.support.istiod_cases import MESH, Case
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

FILES = sorted((istiod_cases.FOLDER / "sent").glob("*.yaml"))
WORLDS = 100
ASKERS = tuple(
    Asker(
        f"sidecar~10.1.0.{number}~{app}-1.{namespace}~{namespace}.svc.cluster.local",
        {"LABELS": {"app": app}, "NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes"},
    )
    for number, (app, namespace) in enumerate(
        (("client", "default"), ("cart", "shop"), ("client", "istio-system")), start=1
    )
)
ASKERS = (*ASKERS, Asker(ASKERS[0].id, {**ASKERS[0].metadata, "DNS_CAPTURE": "true"}))


def sent(answer: Any) -> dict[str, Any]:
    """Listeners and tables for what applications send."""
    listeners = [listener for listener in answer["lds"] if listener["name"] != "virtualInbound"]
    return {"lds": listeners, "rds": answer["rds"]}


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_case_means_the_same(istiod: Istiod, file: Path) -> None:
    case = istiod_cases.read(file)
    answers = istiod.ask(case.objects, case.mesh, list(case.proxies.values()))
    lines = [
        f"{name}: {line}"
        for (name, asker), answer in zip(case.proxies.items(), answers, strict=True)
        for line in differences(sent(answer), sent(case.answer(asker)))
    ]
    assert "\n".join(lines) == ""


def told(istiod: Istiod, seed: int) -> Iterator[str]:
    text = random_outbound.world(seed)
    answers = istiod.ask_if_valid(text, MESH, ASKERS)
    for asker, answer in zip(ASKERS if answers else (), answers, strict=True):
        for line in differences(sent(answer), sent(Case(text, MESH, {}).answer(asker))):
            yield f"seed {seed}, {asker.id}: {line}"


def test_random_worlds_mean_the_same(istiod: Istiod) -> None:
    lines = [line for seed in range(WORLDS) for line in told(istiod, seed)]
    assert "\n".join(lines[:20]) == ""
