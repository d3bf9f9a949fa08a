"""A connection with TLS on it: the same to its owner as one without.

Hot path. OpenSSL works on the descriptor itself: a layer of memory between costs a third (performance.md).
"""

import contextlib
import os
import socket
import ssl
import time
from typing import Any, Final

from mesh_proxy.telemetry.facts import Secured
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.tls import counting
from mesh_proxy.tls.contexts import NOT_SUPPLIED, Tls, is_sayable
from mesh_proxy.tls.peer import NOBODY, Peer
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.loop import READ, WRITE, Loop

_RECORD: Final = 16384
"""The most bytes of a record (RFC 8446 5.1): who reads so many leaves nothing in OpenSSL that epoll does not see."""
_AT_ONCE: Final = 4
"""Records that are read before others have their turn."""
_WANTS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsConnection(Connection):
    """See the module's docstring.

    It stands, as its owner is told then, when the handshake is over and the other end is accepted.
    """

    __slots__ = (
        "_chunk", "_counters", "_gathers", "_header", "_name", "_place", "_secured", "_subject", "_tls", "_unkept", "peer",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        owner: Owner,
        tls: Tls,
        counters: Counters,
        connecting: bool = False,
        name: str = "",
        subject: str = "",
        header: bytes = b"",
        place: str = "",
    ) -> None:
        """``counters`` are the listener's or the cluster's. ``name`` is asked for, the certificate must be for ``subject``,
        and ``header`` is sent before TLS begins; empty: none. ``place`` is where sessions can be taken up again; empty:
        nowhere."""
        super().__init__(loop, sock, owner, connecting)
        self._tls = tls
        self._counters = counters
        self._name = name
        self._subject = subject
        self._header = header
        self._place = f"{place} {name}" if place and tls.sessions is not None else ""
        self._unkept: bool = False
        """Whether its session is wanted, which the first data come with (TLS 1.3)."""
        self._secured: Any = None
        self._chunk: bytes | memoryview = b""
        """What OpenSSL is writing: it must be given the same again until it has taken it."""
        self._gathers: bool = True
        self.peer: Peer = NOBODY
        if not connecting:
            self._connecting = True  # the handshake is a part of it

    @property
    def protocol(self) -> str:
        """The application protocol that was agreed on (ALPN); empty: none."""
        return self._secured.selected_alpn_protocol() or "" if self._secured is not None else ""

    def secured(self) -> Secured | None:
        """What was agreed on; ``None`` before it stands."""
        secured = self._secured
        if secured is None:
            return None
        version, cipher = secured.version() or "", secured.cipher()
        # From TLS 1.3 on sessions have no ids, but those that OpenSSL makes up.
        session = None if version == "TLSv1.3" else secured.session
        known = "" if session is None else session.id.hex()
        return Secured(version, "" if cipher is None else cipher[0], known, self._tls.own)

    def _finish_connecting(self) -> None:
        if self._secured is None and not self._begin():
            return
        try:
            self._secured.do_handshake()
        except ssl.SSLWantReadError:
            self._expect(READ)
        except ssl.SSLWantWriteError:
            self._expect(WRITE)
        except OSError as error:
            self._fail(error)
        else:
            self._established()

    def _begin(self) -> bool:
        """The socket is connected: OpenSSL takes it over, under the same descriptor."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lose(OSError(code, os.strerror(code)))
            return False
        if self._name and not is_sayable(self._name):
            self._break_off("TLS_error:_INVALID_SERVER_NAME")
            return False
        if self._header and not self._announce():
            return False
        sessions = self._tls.sessions
        known = None if sessions is None or not self._place else sessions.of(self._place, time.time())
        self._secured = self._tls.wrap(self.sock, self._name, known)
        if self._secured is None:
            self._break_off(NOT_SUPPLIED)
            return False
        return True

    def _announce(self) -> bool:
        """Sends the header, for which a socket that is just connected has room."""
        header, self._header = self._header, b""
        try:
            if self.sock.send(header) == len(header):
                return True
        except OSError as error:
            self._lose(error)
            return False
        self._break_off("the header could not be sent")
        return False

    def _expect(self, events: int) -> None:
        if events != self._events:
            self._events = events
            self._loop.modify(self.descriptor, events)

    def _established(self) -> None:
        self.peer = self._tls.peer(self._secured)
        why = self._tls.refusal(self.peer, self._name, self._subject) or self._outlived()
        if why:
            counting.refused(self._counters, why)
            self._break_off(f"TLS_error:_{why}")
            return
        counting.stands(self._counters, self._secured, bool(self.peer.certificate))
        sessions = self._tls.sessions
        if self._place and sessions is not None:
            self._unkept = sessions.wanted(self._place, time.time(), self._secured.session_reused)
        self._connecting = False
        self._watch()
        if self._out:
            self._loop.flush_after(self)
        self.owner.on_connected(self)

    def _outlived(self) -> str:
        """Why a session is not taken up again; empty: it is. Only at its beginning a certificate was looked at."""
        if self._secured.session_reused and 0.0 < self.peer.expires <= time.time():
            return "CERTIFICATE_VERIFY_FAILED:_certificate_has_expired"
        return ""

    def _keep_session(self) -> None:
        self._unkept = False
        if self._tls.sessions is not None:
            self._tls.sessions.keep(self._place, self._secured.session, time.time(), self.peer.expires)

    def _fail(self, error: OSError) -> None:
        """The handshake, or OpenSSL later."""
        reason = getattr(error, "reason", None)
        if reason is None:
            self._lose(error)
            return
        counting.failed(self._counters, reason)
        self._secured = None  # nothing that could be said would be understood
        said = getattr(error, "verify_message", "")  # of a certificate: why it does not count
        self._break_off(f"TLS_error:_{reason}{':_' if said else ''}{said.replace(' ', '_')}")

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = self._secured.read(_RECORD)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLWantWriteError:
                self._full = True  # an answer of OpenSSL's own waits
                self._watch()
                return
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            except OSError as error:
                self._fail(error)
                return
            if self._unkept:
                self._keep_session()
            if not data:
                self.pause()  # level-triggered: the end of the stream would be told for ever
            self.owner.on_data(self, data)
            if len(data) < _RECORD or self._paused or self.descriptor < 0:
                return

    def flush(self) -> None:
        """Send what the kernel takes of the queue."""
        if self.descriptor < 0 or self._connecting:
            return
        gathered = self.queued > _RECORD and self._gather(1)
        error = self._write()
        if gathered:
            self._gather(0)
        if error is not None:
            self._fail(error)
        elif self.queued:
            self._full = True
            self._watch()
        else:
            self._emptied()  # also where OpenSSL itself was the one that waited

    def _write(self) -> OSError | None:
        """Hands OpenSSL what it takes now; what it failed with."""
        out = self._out
        while self.queued:
            if not self._chunk:
                self._chunk = _next(out)
            try:
                sent = self._secured.write(self._chunk)
            except _WANTS:
                break
            except OSError as error:
                return error
            self.queued -= sent
            self._chunk = b"" if sent == len(self._chunk) else memoryview(self._chunk)[sent:]
        return None

    def _gather(self, begun: int) -> bool:
        """Have the kernel gather records, each of which OpenSSL writes by itself, until they are all written: sent one by one
        they cost a tenth more, and the other end is woken by each. Whether it does."""
        if self._gathers:
            try:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, begun)
            except OSError:
                self._gathers = False  # no TCP
        return self._gathers

    def _shutdown(self) -> None:
        """Says that nothing more comes (RFC 8446 6.1), and ends the stream below; the other end may go on."""
        said = self._end()
        if said:
            with contextlib.suppress(OSError):  # nobody is left to be told
                os.write(self.descriptor, said)
        super()._shutdown()

    def _end(self) -> bytes:
        """The record that says so. Python has OpenSSL end the connection twice, and the second time OpenSSL takes what the
        other end goes on to send for its own end, and loses it. So for that moment it works on a socket where nothing comes.
        """
        mine, its = socket.socketpair()
        with mine, its:
            its.setblocking(False)
            mine.setblocking(False)
            kept = os.dup(self.descriptor)
            try:
                os.dup2(its.fileno(), self.descriptor)
                self._say_end()
            finally:
                os.dup2(kept, self.descriptor)
                os.close(kept)
            with contextlib.suppress(BlockingIOError):
                return mine.recv(_RECORD)
        return b""

    def _say_end(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the other end need not say it as well
            if self._secured is not None:
                self._secured.shutdown()

    def close(self) -> None:
        """Close at once; of what is queued goes out what the kernel takes."""
        if self.descriptor >= 0 and self._secured is not None and not self._connecting:
            if self.queued:
                with contextlib.suppress(OSError, ValueError):
                    self._secured.write(self._chunk or _next(self._out))
            self._say_end()
        self._out.clear()
        super().close()


def _next(out: list[bytes | memoryview]) -> bytes | memoryview:
    """Pieces from the front, joined up to a record."""
    size, count = len(out[0]), 1
    while count < len(out) and size + len(out[count]) <= _RECORD:
        size += len(out[count])
        count += 1
    piece = out[0] if count == 1 else b"".join(out[:count])
    del out[:count]
    return piece
