"""All operations of a node in one object, as the admin port wants them."""

from gateway.operating.accounting import Accounting
from gateway.operating.changing import Changing
from gateway.operating.explaining import Explaining
from gateway.operating.gathering import Gathering
from gateway.operating.looking import Looking
from gateway.operating.running import Running
from gateway.operating.watching import Watching


class Operating(Watching, Accounting, Explaining, Changing, Looking, Gathering):
    """`gateway.admin.operations.Operations` over the parts of a running node."""

    def __init__(self, running: Running) -> None:
        self.running = running
