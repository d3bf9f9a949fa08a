"""What ``mesh-proxy`` does in a pod: ``pod``, ``redirect``, ``wait``."""

import argparse
import http.client
import os
import sys
import time
from typing import Final

from mesh_api import pod
from mesh_proxy.bootstrap import bootstrap_of
from mesh_proxy.document import DocumentError, Section
from mesh_proxy.pod.document import PodError, document
from mesh_proxy.pod.redirect import Redirect, RedirectError, apply, ports, ranges, rules

EX_USAGE: Final = 64
EX_UNAVAILABLE: Final = 69
EX_TEMPFAIL: Final = 75
PAUSE: Final = 0.2
"""Seconds between two questions whether the proxy is ready."""


def run(options: argparse.Namespace) -> int:
    """The command of the options; returns the exit code (``sysexits.h``)."""
    return {"pod": _proxy, "redirect": _redirect, "wait": _wait}[options.command](options)


def _proxy(_options: argparse.Namespace) -> int:
    try:
        bootstrap = bootstrap_of(Section(document(os.environ), (), pod.VARIABLE))
    except (PodError, DocumentError) as error:
        return _refuse(str(error), EX_USAGE)
    # Imported late: what refuses needs neither gRPC nor an HTTP server.
    from mesh_proxy.supervisor.app import run as serve

    return serve(bootstrap)


def _redirect(options: argparse.Namespace) -> int:
    wanted: dict[str, object] = {}
    for name, option, read, every in (
        ("inbound_ports", "inbound_ports", ports, True),
        ("excluded_inbound_ports", "exclude_inbound_ports", ports, False),
        ("outbound_ranges", "outbound_ranges", ranges, True),
        ("excluded_outbound_ranges", "exclude_outbound_ranges", ranges, False),
        ("excluded_outbound_ports", "exclude_outbound_ports", ports, False),
        ("outbound_ports", "outbound_ports", ports, False),
    ):
        shown = f"--{option.replace('_', '-')}"
        try:
            wanted[name] = read(getattr(options, option))
        except ValueError as error:
            return _refuse(f"{shown}: {error}; give a list with commas", EX_USAGE)
        if wanted[name] == "*" and not every:
            return _refuse(f"{shown}: '*' is not allowed here; give a list with commas", EX_USAGE)
    if options.user is not None:
        wanted["user"] = options.user
    redirect = Redirect(**wanted)  # type: ignore[arg-type]
    if options.print:
        sys.stdout.write(rules(redirect, ipv6=True))
        return 0
    try:
        apply(redirect)
    except RedirectError as error:
        return _refuse(str(error), EX_UNAVAILABLE)
    return 0


def _wait(options: argparse.Namespace) -> int:
    """Asks the proxy beside us until it is ready."""
    end, last = time.monotonic() + options.seconds, "it does not answer"
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", pod.READY, timeout=1.0)
        try:
            connection.request("GET", "/healthz/ready")
            answer = connection.getresponse()
            if answer.status == 200:
                return 0
            last = answer.read(200).decode(errors="replace").strip() or str(answer.status)
        except OSError as error:
            last = error.strerror or str(error)
        finally:
            connection.close()
        time.sleep(PAUSE)
    return _refuse(f"the proxy is not ready after {options.seconds:g} s: {last}", EX_TEMPFAIL)


def _refuse(reason: str, code: int) -> int:
    sys.stderr.write(f"mesh-proxy: {reason}\n")
    return code
