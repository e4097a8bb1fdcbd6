"""The bucket from its own side: objects are put straight into it, past Causeway, and taken away again."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway.cli.faults import CommandFault
from gateway.demo.documents import Store
from gateway.demo.samples import Sample

UPLOADERS = 4
# One request of S3's takes so many keys.
DELETED_AT_ONCE = 1000


def client(store: Store) -> Any:
    """Returns a boto3 client of the bucket's own store."""
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        max_pool_connections=UPLOADERS,
        proxies={},  # Nodes know none either: what they shall reach is reached directly.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=store.url,
        region_name="us-east-1",
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=config,
    )


@contextmanager
def filled(
    store: Store, samples: Sequence[Sample], progress: Callable[[int], None], watch: Callable[[], None]
) -> Iterator[None]:
    """Puts the samples into the bucket for the length of the `with`.

    Args:
        store: where to.
        samples: what.
        progress: told the bytes of each object that has been put.
        watch: called every now and then; what it raises ends the upload.

    Raises:
        CommandFault: the store refused.
    """
    s3 = client(store)
    put: list[str] = []
    made = False
    try:
        if not store.exists:
            s3.create_bucket(Bucket=store.bucket)
            made = True
        _put_all(s3, store, samples, put, progress, watch)
        yield
    except (BotoCoreError, ClientError) as fault:
        raise CommandFault(f"{store.url}, bucket {store.bucket}: {fault}; check --origin and its keys") from fault
    finally:
        if store.lasts:
            _remove(s3, store, put, made)


def _put_all(
    s3: Any,
    store: Store,
    samples: Sequence[Sample],
    put: list[str],
    progress: Callable[[int], None],
    watch: Callable[[], None],
) -> None:
    stop = threading.Event()

    def one(sample: Sample) -> int:
        if stop.is_set():
            return 0
        key = store.prefix + sample.key
        put.append(key)
        with sample.file.open("rb") as body:
            s3.put_object(Bucket=store.bucket, Key=key, Body=body)
        return sample.size

    with ThreadPoolExecutor(UPLOADERS) as pool:
        try:
            for done in pool.map(one, samples):
                progress(done)
                watch()
        finally:
            stop.set()


def _remove(s3: Any, store: Store, keys: Sequence[str], bucket_too: bool) -> None:
    try:
        for some in _in_turn(keys, DELETED_AT_ONCE):
            s3.delete_objects(Bucket=store.bucket, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True})
        if bucket_too:
            s3.delete_bucket(Bucket=store.bucket)
    except (BotoCoreError, ClientError) as fault:
        what = f"what is beneath s3://{store.bucket}/{store.prefix} could not be removed"
        raise CommandFault(f"{store.url}: {what} ({fault}); remove it by hand") from fault


def _in_turn(keys: Sequence[str], count: int) -> Iterable[Sequence[str]]:
    return (keys[at : at + count] for at in range(0, len(keys), count))
