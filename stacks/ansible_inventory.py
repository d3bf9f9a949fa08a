"""An environment as Ansible sees it: an inventory with the variables of every role. Pure.

Secrets stand in it only as references to the vault (``vault_postgresql_password``); join tokens are made when they are
needed.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stacks import cluster, cluster_machines, cluster_mesh, cluster_workloads, plan, ports
from stacks.environment import Environment, Kubernetes, Machine, MeshMachine, Workload

Variables = dict[str, Any]
CONTROL_PORT = 15012
"""Of certificates and configuration, in a cluster."""
PROXY_USER = "mesh-proxy"
"""The unprivileged user of every proxy."""
_QUOTED_PASSWORD = '{{ vault_postgresql_password | urlencode | replace("/", "%2F") }}'  # noqa: S105 (an expression)
"""For a URL; the filter leaves slashes, as those of paths."""
_PASSWORD_VERSION = (
    "{{ ((vault_join_token ~ ' ' ~ vault_postgresql_password) | hash('sha256'))"
    f"[:{cluster_workloads.VERSION_LETTERS}] }}}}"
)
"""As :func:`cluster_workloads.password_version`, in Ansible's words."""


def inventory(environment: Environment, connections: Mapping[str, Variables] | None = None) -> dict[str, Any]:
    """The inventory; ``connections`` adds connection variables to a machine's own (its driver's SSH arguments)."""
    hosts = {
        node.name: _connection(environment, node)
        | dict((connections or {}).get(node.name, {}))
        | host(environment, node)
        for node in environment.machines.nodes
    }
    children = {
        **_groups(environment),
        "kubernetes_control": cluster.control_machines(environment),
        "kubernetes_workers": cluster.workers(environment),
        **_beside_groups(environment),
    }
    groups: Variables = {group: {"hosts": {member: {} for member in members}} for group, members in children.items()}
    return {"all": {"vars": variables(environment), "hosts": hosts, "children": groups}}


def _beside_groups(environment: Environment) -> dict[str, tuple[str, ...]]:
    found = cluster_machines.nodes_beside(environment)
    return {"mesh_machines": found} if found else {}


def _groups(environment: Environment) -> dict[str, list[str]]:
    """The machines on which parts of the mesh stand; none where they are in a cluster."""
    if environment.platform == "kubernetes":
        return {}
    standing = {workload.machine for workload in environment.workloads}
    return {
        "control": [environment.mesh.control_machine],
        "database": [] if environment.postgresql is None else [environment.postgresql.machine],
        "workloads": [node.name for node in environment.machines.nodes if node.name in standing],
    }


def static_connections(environment: Environment) -> dict[str, Variables]:
    """Connection variables for an inventory in a file: every path is taken from where the inventory stands.

    Machines made of namespaces are reached through the namespace of their bridge.
    """
    machines = environment.machines
    root = "{{ inventory_dir }}/../.."
    found = {}
    for node in machines.nodes:
        found[node.name] = {
            "ansible_ssh_private_key_file": f"{root}/{machines.ssh_private_key_file}",
            # Machines of two environments may have the same address.
            "ansible_control_path_dir": f"~/.ansible/cp/meshwright-{environment.name}",
        }
        if machines.driver == "namespaces":
            relay = f'/usr/bin/python3 -SE "{root}/stacks/machines/namespaces/relay.py" mw-{environment.name} %h %p'
            known = f"/var/lib/meshwright/machines/{environment.name}/known_hosts.{node.name}"
            found[node.name]["ansible_ssh_common_args"] = (
                f"-o ProxyCommand='{relay}' -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes"
            )
    return found


def _connection(environment: Environment, machine: Machine) -> Variables:
    return {"ansible_host": machine.address, "ansible_port": machine.ssh_port}


def variables(environment: Environment) -> Variables:
    """Variables that every host shares."""
    shared: Variables = {"ansible_user": environment.machines.ssh_user, "ansible_become": True}
    if environment.kubernetes is not None:
        shared |= _cluster_variables(environment, environment.kubernetes)
    if environment.platform == "kubernetes":
        return shared | _cluster_workloads(environment)
    return shared | _mesh_variables(environment)


def _mesh_variables(environment: Environment) -> Variables:
    mesh = environment.mesh
    shared: Variables = {
        "host_service_names": {address: list(names) for address, names in plan.service_names(environment).items()},
        "mesh_control_xds_port": mesh.xds_port,
        "mesh_control_monitoring_port": mesh.monitoring_port,
        "mesh_control_prometheus_url": mesh.prometheus_url,
        "mesh_control_mesh_config": {} if mesh.config is None else mesh.config.to_yaml_value(),
        "mesh_control_inventory": plan.mesh_inventory(environment),
        "mesh_proxy_drain_seconds": mesh.proxy.drain_seconds,
    }
    if environment.postgresql is not None:
        shared |= _database_variables(environment)
    return shared


def _further_images(environment: Environment) -> list[str]:
    """Of ours, what the machines of a cluster are brought together with the cluster's own."""
    built = environment.platform == "kubernetes" and environment.sources.kubernetes == "built"
    return [*cluster_mesh.IMAGES, *cluster_workloads.images(environment)] if built else []


def _cluster_variables(environment: Environment, settings: Kubernetes) -> Variables:
    entrance = environment.machines.entrance_port
    return {
        "kubernetes_version": settings.version,
        "kubernetes_source": environment.sources.kubernetes,
        "kubernetes_name": environment.name,
        "kubernetes_endpoint": cluster.endpoint(environment),
        "kubernetes_virtual_address": settings.virtual_address or "",
        "kubernetes_pod_network": str(settings.pod_network),
        "kubernetes_service_network": str(settings.service_network),
        "kubernetes_pod_traffic": settings.pod_traffic,
        "kubernetes_address_pool": list(settings.address_pool),
        "kubernetes_storage": settings.storage,
        "kubernetes_metrics": settings.metrics,
        "kubernetes_proxy_url": "" if entrance is None else f"http://127.0.0.1:{entrance}",
        "kubernetes_mesh_values": cluster_mesh.values(environment),
        "kubernetes_further_images": _further_images(environment),
    }


def _cluster_workloads(environment: Environment) -> Variables:
    """The workloads of a cluster. What only a run knows stands there as an expression of the role's."""
    wanted = cluster_workloads.images(environment)
    built = environment.sources.kubernetes == "built"
    names = {name: cluster_workloads.image(environment, name) for name in wanted}
    digests = {
        name: f"{{{{ kubernetes_workloads_digests['{names[name]}'] | default('') }}}}" for name in wanted if built
    }
    found: Variables = {
        "kubernetes_workloads_manifests": cluster_workloads.manifests(
            environment,
            digests=digests,
            password_version=_PASSWORD_VERSION,
        ),
        "kubernetes_workloads_images": list(wanted),
        "kubernetes_workloads_selector": ",".join(f"{name}={value}" for name, value in cluster_workloads.OURS.items()),
        "kubernetes_workloads_rollouts": cluster_workloads.rollouts(environment),
    }
    if environment.postgresql is not None:
        url = cluster_workloads.database_url(environment, _QUOTED_PASSWORD)
        found["kubernetes_workloads_database_url"] = url
        found["kubernetes_workloads_secret"] = cluster_workloads.sealed(
            environment,
            "{{ vault_postgresql_password | b64encode }}",
            "{{ kubernetes_workloads_database_url | b64encode }}",
        )
    return found


def _database_variables(environment: Environment) -> Variables:
    database = environment.postgresql
    assert database is not None  # noqa: S101 (the caller asked)
    host_name = plan.host_names(database.service, "default")[0]
    url = f"{host_name}:{database.port}/{database.database}"
    return {
        "postgresql_address": environment.machine(database.machine).address,
        "postgresql_network": str(environment.machines.network),
        "postgresql_port": database.port,
        "postgresql_database": database.database,
        "postgresql_user": database.user,
        "postgresql_password": "{{ vault_postgresql_password }}",
        "postgresql_url_password": _QUOTED_PASSWORD,
        "workload_database_url": f"postgresql://{database.user}:{{{{ postgresql_url_password }}}}@{url}",
    }


def host(environment: Environment, machine: Machine) -> Variables:
    """Variables of one machine: what stands there."""
    entry = cluster_machines.of_machine(environment, machine.name)
    if entry is not None:
        return _beside(environment, entry)
    node = {} if environment.kubernetes is None else _node(environment, machine)
    return node if environment.platform == "kubernetes" else _of_mesh(environment, machine) | node


def _of_mesh(environment: Environment, machine: Machine) -> Variables:
    """The proxies, the redirect rules and the workloads on a machine."""
    proxies = {proxy.name: proxy for proxy in plan.proxies(environment) if proxy.machine == machine}
    workloads = [workload for workload in environment.workloads if workload.machine == machine.name]
    return {
        "host_ports": _ports(environment, machine),
        "host_units": _units(environment, machine),
        # Before the redirect rules, which name them.
        "host_users": [PROXY_USER, *map(user, workloads)],
        "mesh_proxy_instances": [_proxy(environment, proxy) for proxy in proxies.values()],
        "redirect_workloads": [_redirect(environment, w, proxies[w.name]) for w in workloads],
        "workload_instances": [_workload(environment, w) for w in workloads],
    }


def _beside(environment: Environment, entry: MeshMachine) -> Variables:
    """A machine beside the cluster, in the mesh of its pods. What only a run knows is an expression of the role's."""
    proxy, user = cluster_machines.proxy(environment, entry), cluster_machines.user(entry)
    served = list(cluster_machines.served(environment, entry).values())
    units = [f"mesh-proxy@{entry.name}.service"]
    own = [{"port": port, "unit": units[0], "setting": ""} for port in asdict(proxy.ports).values()]
    workloads: list[Variables] = []
    if entry.program is not None:
        units.append(f"workload-{entry.name}.service")
        setting = f"services.{entry.service}.ports"
        own += [{"port": port, "unit": units[-1], "setting": setting} for port in served]
        workloads.append(_program(entry.name, user, served[0], entry.program, entry.settings))
    instance = _proxy(environment, proxy, "{{ mesh_machine_control_address }}", CONTROL_PORT)
    instance["metadata"] |= cluster_machines.metadata(environment)
    instance["metadata"]["MESHWRIGHT"]["control_server_name"] = cluster_machines.control_name(environment)
    return {
        "mesh_machine_shared_objects": cluster_machines.shared_objects(environment, entry),
        "mesh_machine_own_objects": cluster_machines.own_objects(environment, entry),
        "mesh_machine_namespace": proxy.namespace,
        "mesh_machine_control_service": cluster_machines.control_service(environment),
        "host_ports": own,
        "host_units": units,
        "host_users": [PROXY_USER, *(workload["user"] for workload in workloads)],
        "mesh_proxy_drain_seconds": environment.mesh.proxy.drain_seconds,
        "mesh_proxy_instances": [instance],
        "redirect_workloads": [_redirected(entry.name, user, served, proxy)],
        "workload_instances": workloads,
    }


def _node(environment: Environment, machine: Machine) -> Variables:
    """The machine as a part of the cluster."""
    control = machine.name in cluster.control_machines(environment)
    return {
        "kubernetes_address": machine.address,
        "kubernetes_ports": [asdict(found) for found in cluster.listeners(environment, machine.name)],
        "kubernetes_memory_mib": cluster.CONTROL_MEMORY_MIB if control else cluster.WORKER_MEMORY_MIB,
        "kubernetes_cores": cluster.CONTROL_CORES if control else 1,
    }


def _ports(environment: Environment, machine: Machine) -> list[Variables]:
    """The ports that the machine's own units listen on, each with the unit and the setting that chooses it."""
    return [
        {"port": found.port, "unit": found.unit, "setting": found.setting}
        for found in ports.listeners(environment)
        if found.machine == machine.name
    ]


def _units(environment: Environment, machine: Machine) -> list[str]:
    """The units of the mesh that stand on a machine."""
    control = ["mesh-control.service"] if environment.mesh.control_machine == machine.name else []
    proxies = [f"mesh-proxy@{proxy.name}.service" for proxy in plan.proxies(environment) if proxy.machine == machine]
    workloads = [f"workload-{w.name}.service" for w in environment.workloads if w.machine == machine.name]
    return control + proxies + workloads


def user(workload: Workload) -> str:
    """The unprivileged user that a workload runs as."""
    return f"demo-{workload.name}"


def _proxy(environment: Environment, proxy: plan.ProxyPlan, address: str = "", port: int = 0) -> Variables:
    """A proxy and where its control plane is: at ``address``, else on the environment's own machine."""
    settings, mesh = environment.mesh.proxy, environment.mesh
    own = {
        "concurrency": settings.concurrency,
        "drain_seconds": settings.drain_seconds,
        "log_level": settings.log_level,
        "state_dir": f"/var/lib/meshwright/proxy/{proxy.name}",
        "control_root_file": "/etc/meshwright/proxy/roots.pem",
        "token_file": f"/etc/meshwright/proxy/{proxy.name}.token",
        "identity_dir": f"/var/lib/meshwright/proxy/{proxy.name}/identity",
        "ready_port": proxy.ports.health,
        "stats_port": proxy.ports.stats,
    }
    return {
        "name": proxy.name,
        "namespace": proxy.namespace,
        "node_id": proxy.node_id,
        "identity": proxy.identity,
        "metadata": proxy.metadata() | {"MESHWRIGHT": own},
        "ports": asdict(proxy.ports),
        "xds": {
            "address": address or environment.machine(mesh.control_machine).address,
            "port": port or mesh.xds_port,
        },
    }


def _redirect(environment: Environment, workload: Workload, proxy: plan.ProxyPlan) -> Variables:
    served = [port.port for port in environment.service(workload.service).ports]
    return _redirected(workload.name, user(workload), served, proxy)


def _redirected(name: str, owner: str, served: list[int], proxy: plan.ProxyPlan) -> Variables:
    return {
        "name": name,
        "user": owner,
        "ports": served,
        "inbound_port": proxy.ports.inbound,
        "outbound_port": proxy.ports.outbound,
    }


def _workload(environment: Environment, workload: Workload) -> Variables:
    port = environment.service(workload.service).ports[0].port
    made = _program(workload.name, user(workload), port, workload.program, workload.settings)
    return made | {"database": workload.database}


def _program(name: str, owner: str, port: int, program: str, settings: Mapping[str, str]) -> Variables:
    return {
        "name": name,
        "user": owner,
        "port": port,
        "program": program,
        "settings": dict(settings),
        "database": False,
    }
