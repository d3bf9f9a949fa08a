"""Which configurations ours does not take, and why; asked without starting it."""

import json
from pathlib import Path

from mesh_proxy.bootstrap import DocumentError, load_bootstrap
from mesh_proxy.checking import problems
from tests.parity.backends import NAMES, NOBODY, SECURE, SERVERS
from tests.parity.case_files import CaseFile
from tests.parity.certificates import Certificates
from tests.parity.configuration import MARKER, bootstrap


def refusal(files: list[CaseFile], folder: Path) -> str:
    """Why the configuration of these files is refused; empty when it is taken. Certificates lie in ``folder``."""
    names = (*SERVERS, *SECURE, NOBODY, NAMES, f"listener {MARKER}", *(f"listener {file.key}" for file in files))
    ports = {name: 10_000 + place for place, name in enumerate(names)}
    own = folder / "asked"
    own.mkdir(exist_ok=True)
    document = own / "bootstrap.json"
    document.write_text(json.dumps(bootstrap(files, ports, own / "access.log")))
    try:
        loaded = load_bootstrap(document)
    except DocumentError as error:
        return str(error)
    return "; ".join(problems(loaded.static, loaded.secrets))


def taken(files: list[CaseFile], folder: Path) -> tuple[list[CaseFile], dict[str, str]]:
    """Those that ours takes, and why it does not take others, by their keys."""
    Certificates(folder)
    hopeful = [file for file in files if not file.refused]
    asked = files if refusal(hopeful, folder) else [file for file in files if file.refused]
    found = {file.key: why for file in asked if (why := refusal([file], folder))}
    return [file for file in files if file.key not in found], found
