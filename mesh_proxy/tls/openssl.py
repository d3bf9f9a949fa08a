"""What OpenSSL can do and Python's :mod:`ssl` has no word for."""

import ssl
import sys
from typing import Any, Final

PREFERRED: Final = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""Ciphers of TLS 1.3 in the order of BoringSSL, and so of Envoy, on machines with instructions for AES. OpenSSL by itself
begins with the second, which costs a third more for each byte."""
_LAST_KNOWN: Final = (3, 14)
"""Up to this version of Python the context begins with OpenSSL's own, as this module takes for granted."""


def prefer(context: ssl.SSLContext, suites: str = PREFERRED) -> bool:
    """Sets the ciphers of TLS 1.3 and their order; whether that could be had. Without it OpenSSL's own order holds.

    Python can from 3.15 on. Before, OpenSSL is asked itself, where it is a library that Python has loaded.
    """
    of_python = getattr(context, "set_ciphersuites", None)
    if of_python is not None:
        of_python(suites)
        return True
    call = _call()
    if call is None:
        return False
    import ctypes

    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    return bool(call(pointer, suites.encode()) == 1)


def _call() -> Any:
    module = getattr(getattr(ssl, "_ssl", None), "__file__", None)
    if module is None or sys.implementation.name != "cpython" or sys.version_info[:2] > _LAST_KNOWN:
        return None
    import ctypes  # which whoever has no TLS need not load

    try:
        found = ctypes.CDLL(module).SSL_CTX_set_ciphersuites
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = (ctypes.c_void_p, ctypes.c_char_p), ctypes.c_int
    return found
