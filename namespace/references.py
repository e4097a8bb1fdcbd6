"""What a settings file names in place of saying it: files beside it, and secrets, which are never written there."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

# A secret that can be guessed is none; 16 characters of base64 are 96 bits.
SHORTEST_SECRET = 16


class SecretUnreadable(Exception):
    """A secret named by reference cannot be had: the message names the reference and the remedy."""


def beside(path: Path, info: ValidationInfo) -> Path:
    """Returns `path` as seen from the directory of the file that names it (`context={"directory": ...}`)."""
    directory = (info.context or {}).get("directory")
    return path if directory is None else Path(directory) / path


FilePath = Annotated[Path, AfterValidator(beside)]
"""A path in a settings file; a relative one begins at the directory of that file."""


class SecretRef(BaseModel):
    """Where a secret is, never the secret: `{file: PATH}` or `{env: NAME}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FilePath | None = None
    """File that holds the secret, 16 characters at least, and nothing else; white space around it is cut off. Default:
    none; a secret is named, never written here."""
    env: str | None = None
    """Environment variable that holds the secret, in place of a file. Default: none."""

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, value: object) -> object:
        # The value is not repeated: what stands here may be the secret itself.
        if not isinstance(value, dict | SecretRef):
            raise ValueError("a secret is named, never written here: {file: PATH} or {env: NAME}")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _one_place(self) -> "SecretRef":
        if (self.file is None) == (self.env is None):
            raise ValueError("a secret has one place: {file: PATH} or {env: NAME}")
        return self

    def read(self, shortest: int = SHORTEST_SECRET) -> bytes:
        """Returns the secret.

        Args:
            shortest: characters at least; fewer than 16 only for what others chose, as a password.

        Raises:
            SecretUnreadable: it is absent, unreadable, or shorter than that.
        """
        secret = self._read_env(self.env) if self.env is not None else self._read_file(self.file)
        if len(secret) < shortest:
            raise SecretUnreadable(f"the secret in {self} has fewer than {shortest} characters; make a longer one")
        return secret

    @staticmethod
    def _read_env(name: str) -> bytes:
        value = os.environ.get(name)
        if value is None:
            raise SecretUnreadable(f"environment variable {name} is not set; set it to the secret")
        return value.strip().encode()

    @staticmethod
    def _read_file(path: Path | None) -> bytes:
        try:
            return Path(path or "").read_bytes().strip()
        except OSError as fault:
            raise SecretUnreadable(
                f"secret file {path} cannot be read: {fault.strerror}; create it, mode 0600"
            ) from fault

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.file is None else f"file {self.file}"
