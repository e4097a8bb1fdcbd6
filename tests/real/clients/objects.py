"""What the buckets of the clients' tests hold: odd keys in one that is a directory, odder ones in one that is not."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fakes.ramp import ramp
from tests.real.lab.regions import BUCKET
from tests.real.lab.s3 import S3Server

MIB = 1 << 20
BIG = "tree/big"
SIZES = {
    "tree/empty": 0,
    "tree/small": 1000,
    "tree/two  words": 1001,
    "tree/plus+sign": 1002,
    "tree/per%20cent%": 1003,
    "tree/数据 é/лист": 1004,
    "tree/a=b&c;d@e,f$h!i~(j)": 1005,
    "tree/hash#query?": 1006,
    "tree/deep/er/leaf": 100_000,
    # Above 8 MB several of the clients read in ranges, each with If-Match.
    BIG: 9 * MIB + 7,
    "odd/slashes/a//b": 1007,
    "odd/marked/": 0,
    "odd/marked/file": 1008,
}
KEYS = sorted(SIZES, key=str.encode)
PREFIXES = ("tree/", "odd/slashes/", "odd/marked/")
RANGES = ((0, 1), (MIB - 1, MIB + 1), (5_000_000, 6_000_001), (9 * MIB, 9 * MIB + 7))
"""Half-open spans of `BIG`."""
MANY = [f"many/{number:06}" for number in range(1100)]
TABLE = ("table/day=a b/part+0%.parquet", "table/day=数据/part 1.parquet")
ROWS = 30_000


def whole(key: str) -> bytes:
    """The bytes of an object."""
    return ramp(0, SIZES[key], KEYS.index(key))


def numbers(part: int) -> range:
    """The column `n` of one part of the table."""
    return range(part * ROWS, (part + 1) * ROWS)


def text(number: int) -> str:
    """The column `text` beside it."""
    return f"row {number} " * 5


def put_objects(store: S3Server, odder: S3Server, directory: Path) -> None:
    """Puts all of it: `odder` takes `odd/`, in a bucket of its own that is mounted there."""
    first, second = store.client(), odder.client()
    first.create_bucket(Bucket=BUCKET)
    second.create_bucket(Bucket=BUCKET)
    for key in KEYS:
        if key.startswith("odd/"):
            second.put_object(Bucket=BUCKET, Key=key.removeprefix("odd/"), Body=whole(key))
        else:
            # As today's uploaders do it: with a checksum that readers verify, and what is big in parts.
            more = {"ChecksumAlgorithm": "CRC32"}
            first.upload_fileobj(io.BytesIO(whole(key)), BUCKET, key, ExtraArgs=more)
    put_many(store, directory)
    parts = [write_part(directory / f"{part}.parquet", numbers(part)).read_bytes() for part in range(len(TABLE))]
    for part, data in enumerate(parts):
        first.put_object(Bucket=BUCKET, Key=TABLE[part], Body=data)
        first.put_object(Bucket=BUCKET, Key=f"delta/two words {part}.parquet", Body=data)
    log = delta_log([len(data) for data in parts])
    first.put_object(Bucket=BUCKET, Key="delta/_delta_log/00000000000000000000.json", Body=log)


def put_many(store: S3Server, directory: Path) -> None:
    """Over 1000 names of one small object that is also a table of one row."""
    root = store.root
    if root is None:
        raise ValueError("only versitygw keeps objects as files")
    source = directory / "many"
    source.write_text("7\n")
    first = store.put_file(BUCKET, MANY[0], source)
    for key in MANY[1:]:
        os.link(first, root / BUCKET / key)


def write_part(path: Path, column: range) -> Path:
    """A parquet file of several row groups, so that a reader of one column or group reads ranges."""
    table = pa.table({"n": list(column), "text": [text(n) for n in column]})
    pq.write_table(table, path, row_group_size=ROWS // 10, compression="none")
    return path


def delta_log(sizes: list[int]) -> bytes:
    """The log of a Delta table of the parts, as the format's protocol document says: paths are quoted."""
    columns = [
        {"name": "n", "type": "long", "nullable": True, "metadata": {}},
        {"name": "text", "type": "string", "nullable": True, "metadata": {}},
    ]
    schema = json.dumps({"type": "struct", "fields": columns})
    entries: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema,
                "partitionColumns": [],
                "configuration": {},
                "createdTime": 0,
            }
        },
    ]
    for part, size in enumerate(sizes):
        added = {"path": f"two%20words%20{part}.parquet", "partitionValues": {}, "size": size}
        entries.append({"add": {**added, "modificationTime": 0, "dataChange": True}})
    return "".join(json.dumps(one) + "\n" for one in entries).encode()
