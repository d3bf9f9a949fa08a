"""The secrets of an environment: made once, kept in an Ansible vault, read by both Ansible and the Pulumi program.

``.vault_pass`` (0600, never committed) opens ``inventories/ENVIRONMENT/group_vars/all/vault.yml``. ``python -m stacks.vault
ENVIRONMENT`` makes what is missing and changes nothing that is there.
"""

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

from stacks.environment import InvalidEnvironmentError
from stacks.environments import declaration

ROOT = Path(__file__).resolve().parent.parent
PASSWORD_FILE = ".vault_pass"  # noqa: S105 (the name of a file)
SECRETS = ("vault_join_token", "vault_postgresql_password")


class VaultError(RuntimeError):
    """The vault cannot be opened; the message names the file and the mend."""


def vault_file(root: Path, environment: str) -> Path:
    """Where the secrets of an environment are kept, encrypted."""
    return root / "inventories" / environment / "group_vars" / "all" / "vault.yml"


def ensure(root: Path, environment: str, ssh_key: Path | None = None) -> list[str]:
    """Make the password, the vault and the SSH key where they are missing; returns the files that were made."""
    made = []
    password_file = root / PASSWORD_FILE
    if not password_file.exists():
        _write_private(password_file, secrets.token_urlsafe(32) + "\n")
        made.append(PASSWORD_FILE)
    vault = vault_file(root, environment)
    if not vault.exists():
        content = {name: secrets.token_urlsafe(32) for name in SECRETS}
        vault.parent.mkdir(parents=True, exist_ok=True)
        _write_private(vault, _encrypt(yaml.safe_dump(content), _password(root)))
        made.append(str(vault.relative_to(root)))
    if ssh_key is not None and not ssh_key.exists():
        ssh_key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"meshwright {environment}", "-f", str(ssh_key)]
        subprocess.run(command, check=True)
        made.append(str(ssh_key.relative_to(root)))
    return made


def load(root: Path, environment: str) -> dict[str, str]:
    """The secrets by name; raises :class:`VaultError` when a file is missing or the password is not the vault's."""
    vault = vault_file(root, environment)
    if not vault.exists():
        raise VaultError(
            f"{vault.relative_to(root)} is missing; `make up` makes it (or `python -m stacks.vault {environment}`)"
        )
    library = VaultLib([("default", VaultSecret(_password(root).encode()))])
    try:
        content = yaml.safe_load(library.decrypt(vault.read_bytes()))
    except AnsibleError:
        raise VaultError(
            f"the password in {PASSWORD_FILE} does not open {vault.relative_to(root)}; restore the password, or remove "
            f"both files and run `make up` to make new secrets"
        ) from None
    absent = [name for name in SECRETS if name not in content]
    if absent:
        raise VaultError(f"{vault.relative_to(root)} lacks {', '.join(absent)}; add them with `ansible-vault edit`")
    return {name: str(value) for name, value in content.items()}


def _password(root: Path) -> str:
    file = root / PASSWORD_FILE
    if not file.exists():
        raise VaultError(f"{PASSWORD_FILE} is missing; `make up` makes it, or put the vault's password there")
    return file.read_text().strip()


def _encrypt(text: str, password: str) -> str:
    library = VaultLib([("default", VaultSecret(password.encode()))])
    return str(library.encrypt(text.encode()).decode())


def _write_private(path: Path, text: str) -> None:
    """Write atomically with mode 0600 from the first byte."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def main() -> int:
    """Make what is missing for one environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment")
    environment = parser.parse_args().environment
    try:
        declaration(environment)
    except InvalidEnvironmentError as error:
        sys.exit(str(error))
    for file in ensure(ROOT, environment, ROOT / ".meshwright" / "ssh" / "id_ed25519"):
        sys.stdout.write(f"made {file}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
