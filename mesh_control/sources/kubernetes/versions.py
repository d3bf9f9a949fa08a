"""Which policies of a cluster a replica has read, as one text that is the same for all who have read the same. Pure.

Not by the versions of objects, which every status changes that is written.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.resources import RELEASES, Collection, is_policy


@dataclass(slots=True)
class Versions:
    """Remembers what it has made of each collection as long as that does not change."""

    _known: dict[Collection, tuple[int, str]] = field(default_factory=dict)

    def of(self, mirrors: Mapping[Collection, Mirror]) -> str:
        """Of everything that policies are read of."""
        made = {
            place: self._of(place, mirror)
            for place, mirror in mirrors.items()
            if is_policy(place) or place.kind == RELEASES
        }
        self._known = made
        # A collection without objects is as one that is not installed, as one replica may have heard, and another not yet.
        parts = sorted(f"{place.title} {text}" for place, (_, text) in made.items() if text)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _of(self, place: Collection, mirror: Mirror) -> tuple[int, str]:
        known = self._known.get(place)
        if known is not None and known[0] == mirror.changes:
            return known
        lines = []
        for (namespace, name), value in sorted(mirror.reflector.items.items()):
            metadata = value.get("metadata") or {}
            # A ConfigMap has no generation; of the releases' nobody but its writers changes the version.
            said = metadata.get("generation", metadata.get("resourceVersion"))
            lines.append(f"{namespace}/{name} {metadata.get('uid')} {said}")
        return mirror.changes, hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""
