"""A namespace service and nothing else: `up --roles namespace`. It has no cache, no S3 and no admin port."""

import asyncio
from dataclasses import dataclass

from gateway.config import Address, NodeSettings
from gateway.controldoor import ControlDoor
from gateway.served import ServedNamespace

GRACE_SECONDS = 10.0
"""For calls that run: an apply takes seconds."""


@dataclass(slots=True)
class ServiceNode:
    """A running service."""

    settings: NodeSettings
    served: ServedNamespace
    control: ControlDoor
    address: Address

    @classmethod
    async def start(cls, settings: NodeSettings) -> "ServiceNode":
        """Starts a service: on return it listens. Raises SecretUnreadable, EtcdRefused, AddressTaken, OSError."""
        secrets = {region: reference.read().decode() for region, reference in settings.secrets.items()}
        control, served = ControlDoor(settings.listen.control, settings.region, secrets.get), ServedNamespace(settings)
        try:
            await served.start(control)
            address = await control.open()
        except BaseException:
            await control.close(0.0)
            await served.close()
            raise
        assert address is not None
        return cls(settings, served, control, address)

    def ready_line(self) -> str:
        """The one line that says where it listens, and what it still waits for."""
        regions = ", ".join(self.settings.namespace.regions)
        concern = self.served.concern()
        state = f"is up, not ready yet: {concern}" if concern else f"serves the namespace to {regions}"
        return f"causeway: node {self.settings.node} of {self.settings.region} {state}: control {self.address}"

    async def given_up(self) -> str:
        """Nobody takes its place: never."""
        return await asyncio.Future[str]()

    async def stop(self) -> None:
        """Ends the calls, then closes everything."""
        self.served.leave()
        await self.control.close(GRACE_SECONDS)
        await self.served.close()
