#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: one database owned by one login role, with nothing but ``psql`` on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_database
short_description: Have a database and the role that owns it
description:
  - Runs as the superuser's system account and talks to the server by its local socket.
  - The password is compared with the server's SCRAM verifier, so an unchanged one is no change and no secret is printed.
options:
  database:
    description: Name of the database.
    type: str
    required: true
  role:
    description: Login role that owns it.
    type: str
    required: true
  password:
    description: Password of the role.
    type: str
    required: true
  port:
    description: Port of the server, which names its socket.
    type: int
    default: 5432
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the database
  postgresql_database:
    database: services
    role: program
    password: "{{ vault_postgresql_password }}"
"""

RETURN = r"""
missing:
  description: What was (or would be) made or set.
  type: list
  elements: str
  returned: always
"""

import base64
import hashlib
import hmac
import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule


class Server:
    """``psql`` on the local socket."""

    def __init__(self, port):
        self.port = port

    def query(self, sql):
        """The first column of the first row, or an empty string."""
        return self._psql(["--command", sql], "")

    def answers(self):
        """Whether it runs."""
        try:
            return self.query("SELECT 1") == "1"
        except RuntimeError:
            return False

    def execute(self, sql):
        """Statements by standard input, so that no secret stands in the process list."""
        self._psql([], sql)

    def _psql(self, arguments, stdin):
        # The server knows root's processes by the user that they run as.
        become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*become, "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        command += ["--port", str(self.port), "--dbname", "postgres"]
        done = subprocess.run(command + arguments, input=stdin.encode(), capture_output=True, check=False, cwd="/")
        if done.returncode:
            raise RuntimeError(done.stderr.decode().strip().splitlines()[0])
        return done.stdout.decode().strip()


def quoted(name):
    """A string literal."""
    return "'" + name.replace("'", "''") + "'"


def identifier(name):
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def matches(verifier, password):
    """Whether the password belongs to a ``SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER`` verifier (RFC 5803)."""
    if not verifier.startswith("SCRAM-SHA-256$"):
        return False
    _scheme, parameters, keys = verifier.split("$")
    iterations, salt = parameters.split(":")
    stored = base64.b64decode(keys.split(":")[0])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    return hmac.compare_digest(hashlib.sha256(client).digest(), stored)


def missing(server, database, role, password):
    """What has to be made or set."""
    found = []
    verifier = server.query(f"SELECT coalesce(rolpassword, '') FROM pg_authid WHERE rolname = {quoted(role)}")
    exists = server.query(f"SELECT 1 FROM pg_roles WHERE rolname = {quoted(role)} AND rolcanlogin")
    if not exists:
        found.append("role")
    elif not matches(verifier, password):
        found.append("password")
    owner = server.query(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {quoted(database)}")
    if not owner:
        found.append("database")
    elif owner != role:
        found.append("owner")
    return found


def mend(server, found, database, role, password):
    """Make and set what is missing; each statement can be run again."""
    if "role" in found:
        if not server.query(f"SELECT 1 FROM pg_roles WHERE rolname = {quoted(role)}"):
            server.execute(f"CREATE ROLE {identifier(role)};")
        server.execute(f"ALTER ROLE {identifier(role)} LOGIN PASSWORD {quoted(password)};")
    if "password" in found:
        server.execute(f"ALTER ROLE {identifier(role)} PASSWORD {quoted(password)};")
    if "database" in found:
        server.execute(f"CREATE DATABASE {identifier(database)} OWNER {identifier(role)};")
    if "owner" in found:
        server.execute(f"ALTER DATABASE {identifier(database)} OWNER TO {identifier(role)};")


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "database": {"type": "str", "required": True},
            "role": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "port": {"type": "int", "default": 5432},
        },
        supports_check_mode=True,
    )
    database, role, password = (module.params[key] for key in ("database", "role", "password"))
    if shutil.which("psql") is None and module.check_mode:  # a clean host: the server would have been installed before
        module.exit_json(changed=True, missing=["role", "database"], diff={"before": "", "after": "role\ndatabase\n"})
    server = Server(module.params["port"])
    if module.check_mode and not server.answers():
        module.warn("PostgreSQL does not run, so its databases cannot be compared")
        module.exit_json(changed=False, missing=[])
    try:
        found = missing(server, database, role, password)
        if found and not module.check_mode:
            mend(server, found, database, role, password)
    except RuntimeError as error:
        module.fail_json(msg=f"database {database} on port {module.params['port']}: {error}")
    diff = {"before": "", "after": "".join(f"{item}\n" for item in found)}
    module.exit_json(changed=bool(found), missing=found, diff=diff)


if __name__ == "__main__":
    main()
