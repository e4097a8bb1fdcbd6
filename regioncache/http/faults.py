"""What can go wrong while another server is asked, by what the caller can do about it."""


class HttpFault(Exception):
    """Base of all faults of the client."""


class ConnectFailed(HttpFault):
    """No connection could be made (refused, no name, TLS, no turn in the pool): nothing was asked; ask elsewhere."""


class NoTurn(ConnectFailed):
    """All connections that may be open to one base are in use: that says nothing about who listens there."""


class AnswerTimeout(HttpFault):
    """The other side is silent for longer than the ask allows; the connection is closed."""


class AnswerCutShort(HttpFault):
    """The connection ended inside an answer, or before it; what was received is good, go on behind it."""


class BadHttp(HttpFault):
    """The answer is not HTTP as we speak it, or too large; nothing of it may be used."""
