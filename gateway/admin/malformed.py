"""What aiohttp logs of requests that are none: a matter for debugging, not an error of the node's with a traceback.

The port is open for health and metrics: whoever reaches it could else fill the log by lines of garbage.
"""

import logging
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError


class MalformedAsDebug(logging.LoggerAdapter[logging.Logger]):
    """The logger of a server; its answer (400) tells whoever asked what was wrong."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **more: Any) -> None:
        """Logs a fault: at `debug` where the request was malformed, else as an error with its traceback."""
        level = logging.DEBUG if isinstance(exc_info, HttpProcessingError) else logging.ERROR
        self.log(level, msg, *args, exc_info=exc_info, **more)
