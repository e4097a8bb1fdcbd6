"""Gives a node the leases of its lines, and the offices of lines that it may have.

Loaded only where it is of use: where node.yaml names an etcd, so that several nodes share the lines towards their
region, or a control port of a node that is alone, at which nodes of another region ask for leases.
"""

import socket

import structlog

from gateway.config import Address, PeerTlsSettings
from gateway.controldoor import ControlDoor
from gateway.logs import tidings
from gateway.operating.running import Running
from namespace.rpc.channels import RpcTls
from regioncache.leasing.app import Leasing, LeasingSettings
from regioncache.leasing.finding import OPERATION
from regioncache.peers.desks import Questioner


def lease(running: Running, control: ControlDoor) -> None:
    """Builds it over a node's cache; `app.leasing.start` begins once this node is a member."""
    settings, app, clustering = running.settings, running.app, running.clustering
    of_leasing = LeasingSettings(
        region=settings.region,
        node=settings.node,
        process=(lambda: 0) if clustering is None else clustering.process_epoch,
        directory=settings.cache.directories[0],
        secrets=app.settings.secrets,
        questioner=Questioner(settings.region, app.settings.secrets, app.peer_client, app.settings.wall),
        members=tuple if clustering is None else clustering.peers,
        clock=app.settings.clock,
        wall=app.settings.wall,
        tidings=tidings("causeway.leases"),
        on_fault=_fault,
        far=app.far.addresses,
        leased=clustering is not None,
        authorities=lambda: _authorities(settings.listen.peer.tls),
        etcd=None if clustering is None else clustering.etcd,
    )
    app.leasing = Leasing(of_leasing, lambda: app.lines)
    app.peers.desks[OPERATION] = app.leasing.desk()
    control.offer(app.leasing.service())


def reached(running: Running) -> str:
    """Returns where others reach the control port, `HOST:PORT`; `https://HOST:PORT` where it has a certificate."""
    return ("" if running.settings.listen.control.tls is None else "https://") + _reached(running)


def _reached(running: Running) -> str:
    if running.clustering is not None:
        return running.clustering.control_at(running.addresses)
    where = running.settings.advertise.control or running.addresses["control"]
    own = where.host in {"0.0.0.0", "::"}  # noqa: S104
    return str(Address(socket.gethostname(), where.port) if own else where)


def _authorities(peer: PeerTlsSettings | None) -> RpcTls:
    """Those of the nodes' certificates; without any, gRPC's own."""
    if peer is None:
        return RpcTls()
    return RpcTls(peer.ca.read_bytes(), peer.cert.read_bytes(), peer.key.read_bytes())


def _fault(fault: BaseException) -> None:
    structlog.stdlib.get_logger("causeway.leases").error(
        "fault in the leases of a line", exc_info=(type(fault), fault, fault.__traceback__)
    )
