#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which proxies of a host need a token to join with."""

from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_identity
short_description: Tell which proxies have no certificate that the control plane takes
description:
  - Looks at what each proxy keeps as a control plane would that trusts these roots; a handshake of TLS in memory decides.
    Changes nothing.
  - Where the roots are not known, as in check mode while the control plane is away, what is there is taken for good.
options:
  proxies:
    description: Name of each proxy to the SPIFFE id that its certificate must be for.
    type: dict
    required: true
  roots:
    description: The roots that the control plane trusts, in PEM, the one that signs first; empty where they are not known.
    type: str
    default: ""
  state_dir:
    description: Where each proxy has a folder of its name.
    type: path
    default: /var/lib/meshwright/proxy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Look at the certificate of a proxy
  proxy_identity:
    proxies: {store: spiffe://cluster.local/ns/default/sa/store}
    roots: "{{ bundle }}"
"""

RETURN = r"""
joining:
  description: The names of those that need a token.
  type: list
  elements: str
  returned: always
reasons:
  description: For each of them, why.
  type: dict
  returned: always
"""

import pathlib
import ssl

from ansible.module_utils.basic import AnsibleModule

END = "-----END CERTIFICATE-----"


def certificates(text):
    """The certificates of a text, in DER, in their order."""
    blocks = [block.partition("-----BEGIN CERTIFICATE-----")[2] for block in text.split(END)]
    return [ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{block}{END}") for block in blocks if block.strip()]


def proven(pair, roots):
    """The names in the certificate of a file with key and certificates, when these roots lead to it and it is valid now.

    Raises SSLError, which says why not.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=roots)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (server, client):
        context.load_cert_chain(pair)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 3:  # the client says two things, and the server one
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = ends[1].getpeercert() or {}
    return [value for kind, value in shown.get("subjectAltName", ()) if kind == "URI"]


def why_not(folder, identity, roots):
    """Why a proxy has to join; empty when it has not."""
    pair, trusted = folder / "identity" / "identity.pem", folder / "identity" / "roots.pem"
    if not pair.exists() or not trusted.exists():
        return "it has no certificate"
    if not roots:
        return ""
    try:
        names = proven(str(pair), roots)
        signs = certificates(roots)[0]
        known = certificates(trusted.read_text())
    except (ssl.SSLError, ValueError) as error:
        return f"its certificate is not taken: {error}"
    if names != [identity]:
        return f"its certificate is for {', '.join(names) or 'nobody'}"
    if signs not in known:
        return "it does not trust who signs now"
    return ""


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "proxies": {"type": "dict", "required": True},
            "roots": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": "/var/lib/meshwright/proxy"},
        },
        supports_check_mode=True,
    )
    state, roots = pathlib.Path(module.params["state_dir"]), module.params["roots"].strip()
    found = {name: why_not(state / name, wanted, roots) for name, wanted in module.params["proxies"].items()}
    reasons = {name: why for name, why in found.items() if why}
    module.exit_json(changed=False, joining=sorted(reasons), reasons=reasons)


if __name__ == "__main__":
    main()
