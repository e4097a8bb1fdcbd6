"""The control door: open where something was offered, and only to who signs with the pair's secret."""

from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from gateway.config import Address, Listener, TlsSettings
from gateway.controldoor import ControlDoor
from namespace.rpc.calling import Remote
from namespace.rpc.channels import RpcTls
from namespace.rpc.faults import Unreachable, Untrusted
from namespace.rpc.methods import Unary
from namespace.rpc.serving import Caller, Service
from namespace.rpc.signing import Signer
from tests.real.lab.certificates import certificate

pytestmark = pytest.mark.anyio

SAY = Unary("causeway.test.Echo", "Say", StringValue, StringValue)
SECRETS = {"idc-bj": "secret-of-bj-and-use1"}


async def say(question: StringValue, caller: Caller) -> StringValue:
    return StringValue(value=f"{caller.region}:{question.value}")


def door(tls: TlsSettings | None = None) -> ControlDoor:
    return ControlDoor(Listener(address=Address("127.0.0.1", 0), tls=tls), "aws-use1", SECRETS.get)


def echo() -> Service:
    service = Service(SAY.service)
    service.unary(SAY, say)
    return service


async def test_a_door_without_a_service_stays_shut() -> None:
    control = door()

    assert await control.open() is None
    await control.close(0.0)


async def test_an_offered_service_answers_who_has_the_pairs_secret() -> None:
    control = door()
    control.offer(echo())
    address = await control.open()
    known = Remote(str(address), Signer("idc-bj", "aws-use1", SECRETS["idc-bj"]))
    stranger = Remote(str(address), Signer("gpu-7", "aws-use1", SECRETS["idc-bj"]))

    assert (await known.ask(SAY, StringValue(value="hello"), 10.0)).value == "idc-bj:hello"
    with pytest.raises(Untrusted):
        await stranger.ask(SAY, StringValue(value="hello"), 10.0)
    await control.close(0.0)
    with pytest.raises(Unreachable):
        await known.ask(SAY, StringValue(value="hello"), 10.0)
    await known.close()
    await stranger.close()


async def test_a_door_with_a_certificate_speaks_tls(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    control = door(TlsSettings(cert=made.cert, key=made.key))
    control.offer(echo())
    address = await control.open()
    known = Remote(str(address), Signer("idc-bj", "aws-use1", SECRETS["idc-bj"]), RpcTls(ca=made.cert.read_bytes()))

    assert (await known.ask(SAY, StringValue(value="hello"), 10.0)).value == "idc-bj:hello"
    await known.close()
    await control.close(0.0)
