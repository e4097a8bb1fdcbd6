"""S3 servers for the tests: versitygw (checks signatures) and moto, a boto3 client for either, sparse objects."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.fakes.ramp import PERIOD, ramp
from tests.real.lab.process import Child, answers, child, free_port, tool, within

ACCESS = "ORIGINACCESSKEY00001"
SECRET = "origin-secret-of-the-tests-0123456789abcd"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running store. `root` is where versitygw keeps buckets as directories and objects as files."""

    host: str
    port: int
    process: Child
    root: Path | None = None
    access: str = ACCESS
    secret: str = SECRET

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def client(self) -> Any:
        """A boto3 client with the store's own keys."""
        return s3_client(self.url, self.access, self.secret)

    def put_file(self, bucket: str, key: str, source: Path) -> Path:
        """Moves a file into versitygw's tree as an object: no copy, so a sparse file stays sparse."""
        if self.root is None:
            raise ValueError("only versitygw keeps objects as files")
        target = self.root / bucket / key
        target.parent.mkdir(parents=True, exist_ok=True)
        _tag(source, key)
        source.rename(target)
        return target

    def put_sparse(self, bucket: str, key: str, size: int, *spans: tuple[int, int]) -> Path:
        """An object of `size` zeros that takes no disk, but holds the ramp in `spans` ([start, end))."""
        if self.root is None:
            raise ValueError("only versitygw keeps objects as files")
        target = self.root / bucket / key
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = target.with_name(f".{target.name}.making")
        with hidden.open("wb") as out:
            out.truncate(size)
            for start, end in spans:
                out.seek(start)
                out.write(ramp(start, end))
        _tag(hidden, key)
        hidden.rename(target)
        return target


def _tag(path: Path, key: str) -> None:
    """What versitygw keeps beside an object; without it its answers carry no ETag at all."""
    stat = path.stat()
    tag = hashlib.md5(f"{key} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    os.setxattr(path, "user.etag", f'"{tag}"'.encode())
    os.setxattr(path, "user.content-type", b"binary/octet-stream")


def s3_client(url: str, access: str, secret: str, **more: Any) -> Any:
    """A boto3 S3 client: path style, SigV4, no retries, so that a fault shows."""
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=64,
    )
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=more.pop("config", config),
        **more,
    )


def write_ramp(path: Path, size: int, shift: int = 0) -> Path:
    """A file of `size` ramp bytes, written fast."""
    block = ramp(0, 16 * 1024 * PERIOD, shift)
    with path.open("wb") as out:
        for at in range(0, size, len(block)):
            out.write(block[: size - at])
    return path


@contextlib.contextmanager
def versitygw(
    directory: Path, *, host: str = "127.0.0.1", netns: str | None = None, cpu: int | None = None
) -> Iterator[S3Server]:
    """Runs versitygw over a directory; buckets are made by its client, or as directories below `root`."""
    program = tool("versitygw")
    port, root = free_port(), directory / "store"
    root.mkdir()
    args = [program, "--access", ACCESS, "--secret", SECRET, "--port", f"{host}:{port}", "--health", "/health"]
    args += ["--keep-alive", "--quiet"]
    env = {"GOMAXPROCS": "1"} if cpu is not None else {}
    with child("versitygw", [*args, "posix", str(root)], directory, netns=netns, cpu=cpu, env=env) as process:
        process.wait_until(within(netns, answers(f"http://{host}:{port}/health")))
        yield S3Server(host, port, process, root)


@contextlib.contextmanager
def moto(directory: Path, *, cpu: int | None = None) -> Iterator[S3Server]:
    """Runs moto_server: checks no signatures."""
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    args = [str(program), "-H", "127.0.0.1", "-p", str(port)]
    with child("moto", args, directory, cpu=cpu, env={"PYTHONWARNINGS": "ignore", **os.environ}) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/moto-api/"))
        yield S3Server("127.0.0.1", port, process)
