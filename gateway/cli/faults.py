"""What ends a command with exit code 1: one line that names the thing and the remedy."""


class CommandFault(Exception):
    """A command cannot do what it was asked; the message is for the person at the terminal."""
