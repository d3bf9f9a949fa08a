"""Worlds compiled by a real istiod and by us, compared as protobuf JSON (``tests/support/xds_differences.py``); and what we
made of them taken by a real Envoy. The cases are files: see :mod:`tests.support.istiod_cases`.
"""

import dataclasses
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import HttpConnectionManager, Listener, ProxyConfig, RouteConfiguration
from mesh_api.xds.json import resource_to_json
from tests.support import istiod_cases, secret_server
from tests.support.envoy_bootstrap import bootstrap
from tests.support.istio_compiler import Asker, Istiod
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

FILES = istiod_cases.FILES
FIRST_PORT = 10_000
EACH = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


@EACH
def test_means_the_same(istiod: Istiod, file: Path) -> None:
    case = istiod_cases.read(file)
    answers = istiod.ask(case.objects, case.mesh, list(case.proxies.values()), case.networks)
    told = []
    for (name, asker), answer in zip(case.proxies.items(), answers, strict=True):
        told += [f"{name}: {line}" for line in differences(answer, case.answer(asker))]
    assert "\n".join(told) == ""


def static(config: ProxyConfig, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Listeners and clusters with everything inside that is discovered otherwise, but for hosts; listeners under a name of
    their own, as several proxies' stand in one bootstrap."""
    tables = {table.name: table for table in config.routes}
    listeners = [dataclasses.replace(_inline(item, tables), name=f"{name} {item.name}") for item in config.listeners]
    return [resource_to_json(item) for item in listeners], [resource_to_json(item) for item in config.clusters]


def _inline(listener: Listener, tables: dict[str, RouteConfiguration]) -> Listener:
    def chain(found: Any) -> Any:
        manager = found.filter
        if not isinstance(manager, HttpConnectionManager) or manager.route_config is not None:
            return found
        table = dataclasses.replace(tables[manager.rds_name], validate_clusters=False)
        return dataclasses.replace(found, filter=dataclasses.replace(manager, rds_name="", route_config=table))

    default = listener.default_filter_chain
    return dataclasses.replace(
        listener,
        filter_chains=tuple(map(chain, listener.filter_chains)),
        default_filter_chain=None if default is None else chain(default),
    )


@EACH
def test_a_real_envoy_takes_it(envoy: Path, tmp_path: Path, file: Path) -> None:
    case = istiod_cases.read(file)
    # Names of caches are of one proxy each, which several in one process would not have to themselves.
    together = [case.proxies] if not _has_caches(case) else [{name: asker} for name, asker in case.proxies.items()]
    for proxies in together:
        take(envoy, tmp_path, case, proxies)


def _has_caches(case: istiod_cases.Case) -> bool:
    found = (cluster for asker in case.proxies.values() for cluster in case.compiled(asker).clusters)
    return any(cluster.dns_cache is not None for cluster in found)


def take(envoy: Path, folder: Path, case: istiod_cases.Case, proxies: Mapping[str, Asker]) -> None:
    value = bootstrap((), ())
    held = value["static_resources"]
    held["clusters"].append(secret_server.cluster(1))
    clusters: dict[str, Any] = {}
    for name, asker in proxies.items():
        listeners, found = static(case.compiled(asker), name)
        for listener in listeners:  # each address once: they are of several proxies
            port = FIRST_PORT + len(held["listeners"])
            listener["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
            listener.pop("additional_addresses", None)
            held["listeners"].append(listener)
        clusters |= {cluster["name"]: cluster for cluster in found}
    held["clusters"] += clusters.values()
    (folder / "bootstrap.json").write_text(json.dumps(value))
    command = [str(envoy), "--mode", "validate", "-c", "bootstrap.json", "--use-dynamic-base-id", "-l", "error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
