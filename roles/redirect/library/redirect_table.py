#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the live nftables table is the one that is asked for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redirect_table
short_description: Keep one nftables table as its rules say
description:
  - Compares what the kernel holds with what the rules would make, and loads the rules in one transaction when they
    differ. The wanted form is had by loading the rules into an empty network namespace, so the kernel's own notation is
    compared and nothing is parsed here.
  - Knows of a table that was deleted or changed by hand, which the unit that loads it at boot does not.
options:
  table:
    description: Family and name of the table.
    type: str
    required: true
  rules:
    description: The rules as C(nft -f) takes them; they replace the whole table.
    type: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the redirect rules in force
  redirect_table:
    table: ip meshwright
    rules: "{{ lookup('ansible.builtin.template', 'redirect.nft.j2') }}"
"""

RETURN = r""" # """

import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

LIST = ["nft", "--stateless", "--numeric", "list", "table"]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(command, stdin=""):
    """Exit code, standard output and error."""
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, env={"PATH": PATH}, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def live(table):
    """The table as the kernel holds it; empty when there is none."""
    code, out, _err = run([*LIST, *table.split()])
    return out if code == 0 else ""


def wanted(table, rules):
    """The table that the rules make, in the kernel's notation, and the error when they are refused."""
    script = f"nft --file - && {' '.join(LIST)} {table}"
    code, out, err = run(["unshare", "--net", "sh", "-c", script], rules)
    return out, err.strip() if code else ""


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"table": {"type": "str", "required": True}, "rules": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    table, rules = module.params["table"], module.params["rules"]
    if shutil.which("nft", path=PATH) is None and module.check_mode:  # a task before would have installed it
        module.exit_json(changed=True, diff={"before": "", "after": rules})
    after, error = wanted(table, rules)
    before = live(table)
    if error and not module.check_mode:
        module.fail_json(msg=f"nft refuses the rules of table {table}: {error}")
    if error:  # in check mode: the users that the rules name do not exist yet
        module.exit_json(changed=True, diff={"before": before, "after": rules})
    if before != after and not module.check_mode:
        code, _out, err = run(["nft", "--file", "-"], rules)
        if code:
            module.fail_json(msg=f"nft does not load the rules of table {table}: {err.strip()}")
    module.exit_json(changed=before != after, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
