"""The environment as plain processes on loopback: which runs, with which ports, files and settings. Pure.

There is no interception: each sidecar listens on explicit loopback ports, one for what its application serves (ingress) and
one for every service that the application may call (egress); the application is told the latter by its settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stacks import plan
from stacks.environment import Environment, Workload

LOOPBACK = "127.0.0.1"
INGRESS, APPLICATION, EGRESS = 21000, 22000, 23000
"""First port of each range; a workload takes ten of the first two and a hundred of the last."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process. ``module`` is run by the project's interpreter; ``files`` are written (0600) before it starts.

    ``ready`` is a URL that answers 200 when it serves (empty: running is enough), ``after`` names those that must be ready
    before. ``ports`` are those of loopback that it takes.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    ready: str = ""
    after: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


def ingress_port(environment: Environment, workload: Workload, place: int = 0) -> int:
    """Where the workload's sidecar takes its traffic."""
    return INGRESS + 10 * environment.workloads.index(workload) + place


def application_port(environment: Environment, workload: Workload, place: int = 0) -> int:
    """Where the application itself serves."""
    return APPLICATION + 10 * environment.workloads.index(workload) + place


def egress_ports(environment: Environment, workload: Workload) -> dict[str, int]:
    """``HOST:PORT`` of every service to the loopback port where this workload reaches it."""
    targets = [f"{s.hostname}:{p.port}" for s in environment.services for p in s.ports]
    if environment.postgresql is not None:
        host = plan.host_names(environment.postgresql.service, "default")[0]
        targets.append(f"{host}:{environment.postgresql.port}")
    first = EGRESS + 100 * environment.workloads.index(workload)
    return {target: first + place for place, target in enumerate(targets)}


def mesh_inventory(environment: Environment) -> dict[str, Any]:
    """The control plane's static inventory, where a workload is its sidecar's ingress port on loopback."""
    inventory = plan.mesh_inventory(environment)
    workloads = {workload.name: workload for workload in environment.workloads}
    for entry in inventory["workloads"]:
        entry["address"] = LOOPBACK
        workload = workloads.get(entry["name"])
        if workload is not None:
            entry["ports"] = {
                name: ingress_port(environment, workload, place) for place, name in enumerate(entry["ports"])
            }
    return inventory


def metadata(environment: Environment, proxy: plan.ProxyPlan, state: Path) -> dict[str, Any]:
    """Node metadata of a proxy without interception."""
    settings = environment.mesh.proxy
    values = proxy.metadata() | {
        "INTERCEPTION_MODE": "NONE",
        "MESHWRIGHT": {
            "concurrency": settings.concurrency,
            "drain_seconds": settings.drain_seconds,
            "log_level": settings.log_level,
            "state_dir": str(state / proxy.name),
            "token_file": str(state / "join-token"),
            "ready_port": proxy.ports.health,
            "stats_port": proxy.ports.stats,
            "monitoring_address": LOOPBACK,
        },
    }
    del values["CAPTURE_PORTS"]
    workload = {w.name: w for w in environment.workloads}.get(proxy.name)
    if workload is None:
        return values
    ports = environment.service(workload.service).ports
    values["EGRESS_PORTS"] = egress_ports(environment, workload)
    values["INGRESS_PORTS"] = {
        str(ingress_port(environment, workload, place)): application_port(environment, workload, place)
        for place, _ in enumerate(ports)
    }
    return values


def without_database(environment: Environment) -> Environment:
    """The environment without its database, and without the workloads and services that cannot be there then."""
    workloads = tuple(w for w in environment.workloads if not w.database)
    served = {w.service for w in workloads}
    services = tuple(service for service in environment.services if service.name in served)
    return environment.model_copy(update={"postgresql": None, "workloads": workloads, "services": services})


def processes(
    environment: Environment, state: Path, secrets: Mapping[str, str], database: Mapping[str, str] | None = None
) -> tuple[ProcessPlan, ...]:
    """Every process in an order that respects what each needs; ``state`` is the directory for their files.

    ``database`` says where PostgreSQL's ``binaries`` are and where its ``data`` goes.
    """
    proxies = plan.proxies(environment)
    return (
        *_database(environment, state, secrets, database),
        _control(environment, state, secrets),
        *(_proxy(environment, proxy, state) for proxy in proxies),
        *(_workload(environment, workload, state, secrets) for workload in environment.workloads),
    )


def _database(
    environment: Environment, state: Path, secrets: Mapping[str, str], places: Mapping[str, str] | None
) -> tuple[ProcessPlan, ...]:
    wanted = environment.postgresql
    if wanted is None or places is None:
        return ()
    file = str(state / "postgresql.yml")
    own = {"port": wanted.port, "database": wanted.database, "user": wanted.user}
    settings = {**places, **own, "password": secrets["vault_postgresql_password"]}
    return (ProcessPlan("postgresql", "stacks.laptop_database", (file,), {}, {file: settings}, ports=(wanted.port,)),)


def _control(environment: Environment, state: Path, secrets: Mapping[str, str]) -> ProcessPlan:
    mesh = environment.mesh
    settings = {
        "xds_address": f"{LOOPBACK}:{mesh.xds_port}",
        "monitoring_address": f"{LOOPBACK}:{mesh.monitoring_port}",
        "socket": str(state / "control.sock"),
        "state_dir": str(state / "control"),
        "inventory": str(state / "inventory.yml"),
        "join_token_file": str(state / "join-token"),
        "log_level": mesh.proxy.log_level,
    }
    if mesh.prometheus_url:
        settings["prometheus_url"] = mesh.prometheus_url
    files: dict[str, Any] = {
        str(state / "control.yml"): settings,
        str(state / "inventory.yml"): mesh_inventory(environment),
        str(state / "join-token"): secrets["vault_join_token"] + "\n",
    }
    if mesh.config is not None:
        settings["mesh_config"] = str(state / "mesh.yml")
        files[settings["mesh_config"]] = mesh.config.to_yaml_value()
    ready = f"http://{LOOPBACK}:{mesh.monitoring_port}/ready"
    arguments = ("--config", str(state / "control.yml"))
    return ProcessPlan(
        "control", "mesh_control", arguments, {}, files, ready, ports=(mesh.xds_port, mesh.monitoring_port)
    )


def _proxy(environment: Environment, proxy: plan.ProxyPlan, state: Path) -> ProcessPlan:
    file = str(state / f"proxy-{proxy.name}.yml")
    bootstrap = bootstrap_values(proxy, metadata(environment, proxy, state), LOOPBACK, environment.mesh.xds_port)
    ready = f"http://{LOOPBACK}:{proxy.ports.health}/healthz/ready"
    return ProcessPlan(
        f"proxy-{proxy.name}",
        "mesh_proxy",
        ("--bootstrap", file),
        {},
        {file: bootstrap},
        ready,
        ("control",),
        _proxy_ports(environment, proxy),
    )


def _proxy_ports(environment: Environment, proxy: plan.ProxyPlan) -> tuple[int, ...]:
    own = (proxy.ports.admin, proxy.ports.health, proxy.ports.stats)
    workload = {w.name: w for w in environment.workloads}.get(proxy.name)
    if workload is None:
        return (*own, environment.mesh.gateway.http_port)
    served = environment.service(workload.service).ports
    taken = (ingress_port(environment, workload, place) for place, _ in enumerate(served))
    return (*own, *taken, *egress_ports(environment, workload).values())


def bootstrap_values(
    proxy: plan.ProxyPlan, node_metadata: Mapping[str, Any], address: str, port: int
) -> dict[str, Any]:
    """The bootstrap of a proxy in Envoy's form, as ``templates/bootstrap.yml.j2`` renders it on machines."""
    endpoint = {"address": {"socket_address": {"address": address, "port_value": port}}}
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "node": {"id": proxy.node_id, "cluster": f"{proxy.name}.{proxy.namespace}", "metadata": dict(node_metadata)},
        "admin": {"address": {"socket_address": {"address": LOOPBACK, "port_value": proxy.ports.admin}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds-grpc",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                    },
                    "load_assignment": {
                        "cluster_name": "xds-grpc",
                        "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
                    },
                }
            ]
        },
    }


def _workload(environment: Environment, workload: Workload, state: Path, secrets: Mapping[str, str]) -> ProcessPlan:
    egress = egress_ports(environment, workload)
    settings = {"PORT": str(application_port(environment, workload)), "BIND": LOOPBACK, **workload.settings}
    for service in environment.services:
        target = f"{service.hostname}:{service.ports[0].port}"
        settings[f"{service.name.upper().replace('-', '_')}_URL"] = f"http://{LOOPBACK}:{egress[target]}"
    files: dict[str, Any] = {}
    database = environment.postgresql
    if workload.database and database is not None:
        port = egress[f"{plan.host_names(database.service, 'default')[0]}:{database.port}"]
        login = f"{database.user}:{quote(secrets['vault_postgresql_password'], safe='')}"
        file = str(state / f"{workload.name}.database")
        files[file] = f"postgresql://{login}@{LOOPBACK}:{port}/{database.database}\n"
        settings["DATABASE_URL_FILE"] = file
    return ProcessPlan(
        f"workload-{workload.name}",
        "meshwright_demo",
        (workload.program,),
        settings,
        files,
        "",
        (f"proxy-{workload.name}",),
        (application_port(environment, workload),),
    )
