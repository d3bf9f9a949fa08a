#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the live nftables tables are the ones that are asked for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redirect_table
short_description: Keep nftables tables as their rules say
description:
  - Compares what the kernel holds with what the rules would make, and loads the rules in one transaction when they
    differ. The wanted form is had by loading the rules into an empty network namespace, so the kernel's own notation is
    compared and nothing is parsed here.
  - Knows of a table that was deleted or changed by hand, which the unit that loads it at boot does not.
options:
  tables:
    description: Family and name of each table.
    type: list
    elements: str
    required: true
  rules:
    description: The rules as C(nft -f) takes them; they replace the whole tables.
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
    tables: [ip meshwright, ip6 meshwright]
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


def live(tables):
    """The tables as the kernel holds them; one that there is not is left out."""
    return "".join(out for code, out, _err in (run([*LIST, *table.split()]) for table in tables) if code == 0)


def wanted(tables, rules):
    """The tables that the rules make, in the kernel's notation, and the error when they are refused."""
    script = " && ".join(["nft --file -", *(f"{' '.join(LIST)} {table}" for table in tables)])
    code, out, err = run(["unshare", "--net", "sh", "-c", script], rules)
    return out, err.strip() if code else ""


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "tables": {"type": "list", "elements": "str", "required": True},
            "rules": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    tables, rules = module.params["tables"], module.params["rules"]
    if shutil.which("nft", path=PATH) is None and module.check_mode:  # a task before would have installed it
        module.exit_json(changed=True, diff={"before": "", "after": rules})
    after, error = wanted(tables, rules)
    before, names = live(tables), " and ".join(tables)
    if error and not module.check_mode:
        module.fail_json(msg=f"nft refuses the rules of {names}: {error}")
    if error:  # in check mode: the users that the rules name do not exist yet
        module.exit_json(changed=True, diff={"before": before, "after": rules})
    if before != after and not module.check_mode:
        code, _out, err = run(["nft", "--file", "-"], rules)
        if code:
            module.fail_json(msg=f"nft does not load the rules of {names}: {err.strip()}")
    module.exit_json(changed=before != after, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
