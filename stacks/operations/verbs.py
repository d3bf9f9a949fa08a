"""The verbs of a cluster's life. To add one: a playbook in ``cluster/`` and a line here. Pure."""

from dataclasses import dataclass

from stacks.playbooks import KUBERNETES


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a verb: the playbook's variable of that ``name``. ``option`` says that it stands behind ``--NAME``."""

    name: str
    help: str
    option: bool = False
    required: bool = False
    switch: bool = False
    file: bool = False
    """A file of the operator's, by its path from where the command is run."""


@dataclass(frozen=True, slots=True)
class Verb:
    """``playbook`` does it, and ``what`` says so to people; ``reads`` says that it changes nothing and reports in JSON.
    ``named`` is for what cannot be taken back: the playbook is told the cluster's name. ``away`` is the argument that names
    machines which may be out of reach. ``look`` has variables for the look at all machines: which of kubeadm's settings may
    be others than those in force, and whether a control plane may be stopped."""

    playbook: str
    what: str
    arguments: tuple[Argument, ...] = ()
    reads: bool = False
    named: bool = False
    away: str = ""
    look: tuple[tuple[str, str], ...] = ()


_OF_ANY_VERSION = (("differs", "kubernetesVersion"),)
_BACKUP = Argument("backup", "The file.", file=True, option=True)
VERBS: dict[str, Verb] = {
    "preflight": Verb("cluster/preflight.yml", "Tell everything that stands in the way, on all machines.", reads=True),
    "create": Verb(KUBERNETES, "Make a cluster of the inventory's machines, or what of one is missing."),
    "add": Verb(KUBERNETES, "Have machines in the cluster that have been added to the inventory."),
    "remove": Verb(
        "cluster/remove.yml",
        "Take machines out of the cluster.",
        (Argument("machines", "Names, with commas between them.", required=True),),
        away="machines",
    ),
    "join": Verb(
        "cluster/join.yml",
        "Have machines beside the cluster in the mesh of its pods.",
        (Argument("machines", "Names, with commas between them; without, all that the inventory has."),),
        look=_OF_ANY_VERSION,
    ),
    "leave": Verb(
        "cluster/leave.yml",
        "Take machines beside the cluster out of the mesh of its pods.",
        (Argument("machines", "Names, with commas between them.", required=True),),
        look=_OF_ANY_VERSION,
    ),
    "upgrade": Verb(
        "cluster/upgrade.yml",
        "Bring the cluster to the inventory's version (or another), node by node.",
        (Argument("kubernetes_version", "The version, instead of the inventory's.", option=True),),
        look=_OF_ANY_VERSION,
    ),
    "certificates": Verb(
        "cluster/certificates.yml",
        "Renew the control plane's certificates where one ends soon.",
        (Argument("force", "Renew them however long they are good for.", option=True, switch=True),),
        look=_OF_ANY_VERSION,
    ),
    "backup": Verb(
        "cluster/backup.yml",
        "Keep an encrypted copy of the cluster's database.",
        (_BACKUP,),
        look=_OF_ANY_VERSION,
    ),
    "restore": Verb(
        "cluster/restore.yml",
        "Put a backup back: everything in the cluster is as it was then.",
        (Argument("backup", "The file of the backup.", required=True, file=True),),
        named=True,
        look=(*_OF_ANY_VERSION, ("stopped", "true")),
    ),
    "reset": Verb("cluster/reset.yml", "End the cluster, with all that is in it.", named=True, look=_OF_ANY_VERSION),
    "status": Verb("cluster/status.yml", "Tell how the cluster does.", reads=True),
}
"""The one list of them, in the order of the help."""
