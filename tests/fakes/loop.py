"""The event loop of a test: one that gRPC may tell late, when the test is over, that a call it gave up has ended.

gRPC ends a cancelled call in its own time and tells the loop on which it was made. Nothing awaits that; on a loop that
is closed by then it would be told as a fault of the test that runs next.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context


class TestLoop(asyncio.SelectorEventLoop):
    """As asyncio's own, but deaf to gRPC once it is closed; whoever else calls it then is wrong, and told so."""

    __test__ = False

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle | None:
        if self.is_closed() and getattr(callback, "__name__", "") == "_handle_callback_wrapper":
            return None
        return super().call_soon_threadsafe(callback, *args, context=context)
