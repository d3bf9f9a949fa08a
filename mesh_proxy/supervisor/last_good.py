"""The last good configuration on disk, so that traffic flows after a restart without the control plane.

One JSON file of serialized resources and their versions, with a digest over its content. It is replaced as a whole
(temporary file, fsync, rename, fsync of the directory) and only its owner can read it.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mesh_api.xds.session import Known
from mesh_api.xds.type_urls import ADS_ORDER

FORMAT: Final = 1
FILE_NAME: Final = "last-good.json"


class LastGoodError(ValueError):
    """A file that cannot be used; the text says why."""


def save(directory: Path, node_id: str, known: Mapping[str, Known]) -> None:
    """Keeps ``known`` (type URL to what was accepted) in ``directory``. Raises :class:`OSError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = json.dumps(_to_json(node_id, known), sort_keys=True)
    text = json.dumps({"digest": _digest(content), "content": content})
    temporary = directory / f".{FILE_NAME}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / FILE_NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(directory)


def load(directory: Path, node_id: str) -> dict[str, Known] | None:
    """What :func:`save` kept, ``None`` when there is nothing.

    Raises :class:`LastGoodError` for a file that is damaged, of another format, or of another node.
    """
    file = directory / FILE_NAME
    try:
        envelope = json.loads(file.read_text(encoding="utf-8"))
        content = envelope["content"]
        if envelope["digest"] != _digest(content):
            raise LastGoodError(f"{file}: the digest does not fit the content")
        return _from_json(json.loads(content), node_id, file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LastGoodError(f"{file}: {error.strerror}") from None
    except LastGoodError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise LastGoodError(f"{file}: damaged: {type(error).__name__}: {error}") from None


def _to_json(node_id: str, known: Mapping[str, Known]) -> dict[str, Any]:
    types = {
        type_url: {
            "version": last.version,
            "resources": {name: base64.b64encode(data).decode() for name, data in last.resources.items()},
        }
        for type_url, last in known.items()
    }
    return {"format": FORMAT, "node": node_id, "types": types}


def _from_json(content: Mapping[str, Any], node_id: str, file: Path) -> dict[str, Known]:
    if content["format"] != FORMAT:
        raise LastGoodError(f"{file}: format {content['format']}, not {FORMAT}")
    if content["node"] != node_id:
        raise LastGoodError(f"{file}: belongs to node {content['node']}, not {node_id}")
    return {
        type_url: Known(
            str(last["version"]),
            {str(name): base64.b64decode(data, validate=True) for name, data in last["resources"].items()},
        )
        for type_url, last in content["types"].items()
        if type_url in ADS_ORDER
    }


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
