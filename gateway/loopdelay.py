"""How late the event loop is: the one number that shows a blocking call on it."""

import asyncio

from gateway.metrics import Histogram

# Ten looks a second see every stall that a reader would notice, for some 10 us of CPU a second.
EVERY_SECONDS = 0.1


async def watch(delays: Histogram) -> None:
    """Measures until it is cancelled: asks to be woken at a moment and counts how much later that came."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        delays.observe(max(0.0, loop.time() - due))
