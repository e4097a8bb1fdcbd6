"""The reader's process: an unchanged S3 client of aws-use1's node that compares every byte with its source.

boto3 reads the files in twelve threads while a pyarrow dataset reads the table in four: sixteen readers at once. It
knows an endpoint and a key, nothing else of Causeway. Each line on standard input is answered with how far it is, one
line of JSON; the end of input ends it.
"""

import json
import os
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyarrow import dataset, fs

READERS = 12
TABLE_READERS = 4
PIECE_BYTES = 256 * 1024
# A read that waits for the line is answered within 25 s or refused; later nobody is there.
PATIENCE_SECONDS = 60
MOST_FAULTS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read: `files` are (key, file, size); `table` is the dataset's key, `table_file` where its source lies."""

    endpoint: str
    bucket: str
    files: tuple[tuple[str, str, int], ...]
    table: str
    table_file: str
    table_bytes: int
    total_bytes: int


@dataclass(slots=True)
class Progress:
    """How far the reading is. Mutable, under `lock`: all readers write it, the answering thread reads it."""

    read_bytes: int = 0
    objects: int = 0
    answers: int = 0
    hits: int = 0
    waits: int = 0
    done: bool = False
    faults: list[str] = field(default_factory=list)


class Reader:
    """Reads a plan. Credentials are the environment's, as for any S3 client."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._progress = Progress()
        # The even readers begin with the largest, the odd ones with the smallest: the line is busy while the bucket
        # answers for the many small ones.
        self._left = deque(sorted(plan.files, key=lambda file: file[2]))
        config = Config(
            s3={"addressing_style": "path"},
            max_pool_connections=READERS,
            read_timeout=PATIENCE_SECONDS,
            proxies={},
        )
        self._s3 = boto3.client("s3", endpoint_url=plan.endpoint, region_name="us-east-1", config=config)

    def progress(self) -> dict[str, Any]:
        """How far it is."""
        with self._lock:
            return asdict(self._progress)

    def run(self) -> None:
        """Reads everything."""
        readers = [threading.Thread(target=self._files, args=(at % 2 == 0,)) for at in range(READERS)]
        readers.append(threading.Thread(target=self._table))
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        with self._lock:
            self._progress.done = True

    def _files(self, largest_first: bool) -> None:
        while True:
            try:
                key, file, size = self._left.pop() if largest_first else self._left.popleft()
            except IndexError:
                return
            try:
                self._file(key, file, size)
            except (BotoCoreError, ClientError, OSError) as fault:
                self._failed(f"{key}: {fault}")

    def _file(self, key: str, file: str, size: int) -> None:
        got = self._s3.get_object(Bucket=self._plan.bucket, Key=key)
        headers = got["ResponseMetadata"]["HTTPHeaders"]
        with self._lock:
            self._progress.answers += 1
            self._progress.hits += headers.get("x-causeway-source") == "page"
            self._progress.waits += "x-causeway-wait" in headers
        at = 0
        with open(file, "rb") as source, got["Body"] as body:
            while piece := body.read(PIECE_BYTES):
                if piece != source.read(len(piece)):
                    self._failed(f"{key}: bytes {at} to {at + len(piece)} differ from {file}")
                at += len(piece)
                self._advance(len(piece), 0)
        if at != size:
            self._failed(f"{key}: {at} bytes instead of {size}")
        self._advance(0, 1)

    def _table(self) -> None:
        try:
            self._read_table()
        except (OSError, pa.ArrowException) as fault:
            self._failed(f"{self._plan.table}: {type(fault).__name__}: {fault}")

    def _read_table(self) -> None:
        pa.set_io_thread_count(TABLE_READERS)
        scheme, _, address = self._plan.endpoint.partition("://")
        s3 = fs.S3FileSystem(
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            endpoint_override=address,
            scheme=scheme,
            region="us-east-1",
            request_timeout=PATIENCE_SECONDS,
        )
        far = dataset.dataset(
            f"{self._plan.bucket}/{self._plan.table}", filesystem=s3, format="parquet", partitioning="hive"
        )
        near = dataset.dataset(self._plan.table_file, format="parquet", partitioning="hive")
        batches, told = [], 0
        rows = near.count_rows()
        for batch in far.to_batches():
            batches.append(batch)
            share = sum(one.num_rows for one in batches) * self._plan.table_bytes // max(1, rows)
            self._advance(share - told, 0)
            told = share
        if pa.Table.from_batches(batches, far.schema) != near.to_table(columns=far.schema.names):
            self._failed(f"{self._plan.table}: its rows differ from {self._plan.table_file}")
        self._advance(0, len(near.files))

    def _advance(self, nbytes: int, objects: int) -> None:
        with self._lock:
            self._progress.read_bytes += nbytes
            self._progress.objects += objects

    def _failed(self, fault: str) -> None:
        with self._lock:
            if len(self._progress.faults) < MOST_FAULTS:
                self._progress.faults.append(fault)


def main() -> None:
    """Reads the plan in the file that is the only argument; answers questions meanwhile and afterwards."""
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    reader = Reader(Plan(**{**given, "files": tuple(map(tuple, given["files"]))}))
    threading.Thread(target=reader.run, daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(reader.progress()), flush=True)
    # Readers may hang in a node that was ended; nobody waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()
