"""How a pod is: what its status says, and whom it belongs to (Kubernetes ``v1``)."""

from dataclasses import dataclass

from mesh_policy.objects.metadata import read_conditions
from mesh_policy.objects.reading import Fields


@dataclass(frozen=True, slots=True)
class Controller:
    """The object that made a pod."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class PodState:
    """``generated``: whether the cluster made its name up. ``controller`` is who made it; ``None``: somebody by hand."""

    addresses: tuple[str, ...] = ()
    phase: str = ""
    ready: bool = False
    terminating: bool = False
    generated: bool = False
    controller: Controller | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.phase in ("Failed", "Succeeded")


def read_pod_state(fields: Fields) -> PodState:
    """The state of a Pod; of one that only stands in a file, an empty one."""
    metadata, status = fields.inner("metadata"), fields.inner("status")
    first = status.text("podIP")
    more = [item.text("ip") for item in status.items("podIPs")]
    ready = any(c.type == "Ready" and c.status == "True" for c in read_conditions(status))
    controllers = (
        Controller(owner.text("kind"), owner.text("name"))
        for owner in metadata.items("ownerReferences")
        if owner.flag("controller")
    )
    return PodState(
        addresses=tuple(dict.fromkeys(address for address in (first, *more) if address)),
        phase=status.text("phase"),
        ready=ready,
        terminating=metadata.has("deletionTimestamp"),
        generated=bool(metadata.text("generateName")),
        controller=next(controllers, None),
    )
