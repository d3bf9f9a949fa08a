"""A worker that moves no traffic: it takes configurations and dies, refuses or hangs over them when their names say so."""

import argparse
import os
import signal
import socket

from mesh_proxy import ipc


def answer(message: ipc.Message) -> ipc.Message | None:
    """What to say to ``message``."""
    match message:
        case ipc.Apply(version, config):
            names = {each.name for each in (*config.clusters, *config.listeners)}
            if "poison" in names:
                os.kill(os.getpid(), signal.SIGKILL)
            if "refused" in names:
                return ipc.Rejected(version, "listener refused", "this worker does not want it")
            return ipc.Applied(version)
        case ipc.StatsRequest(number):
            counters = {"cluster.a.b.upstream_rq_total": 1, "cluster.a.b.upstream_rq_200": 1}
            histogram = ipc.Histogram((1.0, 5.0, float("inf")), (1, 2, 0), 7.0, 3)
            hosts = {"a.b": (ipc.HostStats("10.0.0.9:80", True, False, active_requests=1, total_requests=5),)}
            gauges = {"cluster.a.b.membership_total": 1, "http.in.downstream_rq_active": 2}
            stats = ipc.Stats(counters, gauges, {"cluster.a.b.upstream_rq_time": histogram}, hosts)
            return ipc.StatsReply(number, stats)
        case ipc.Drain():
            return ipc.Drained()
    return None


def main() -> None:
    """Serves until the supervisor is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ipc-fd", type=int)
    parser.add_argument("--index", type=int)
    sock = socket.socket(fileno=parser.parse_args().ipc_fd)
    sock.sendall(ipc.encode(ipc.Ready(os.getpid())))
    decoder = ipc.Decoder()
    while data := sock.recv(65536):
        for message in decoder.feed(data):
            reply = answer(message)
            if reply is not None:
                sock.sendall(ipc.encode(reply))


if __name__ == "__main__":
    main()
