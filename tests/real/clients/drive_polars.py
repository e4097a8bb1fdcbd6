"""polars (Rust's object_store): tables in parquet, whole and a column of them; names by what it read."""

import polars as pl
from driver import Ask, Door, Operations, drive, names, rows


def client(ask: Ask, door: Door) -> Operations:
    options = {
        "aws_endpoint_url": f"{door.scheme}://{ask.bucket}.{door.address}" if door.virtual else door.url,
        "aws_virtual_hosted_style_request": str(door.virtual).lower(),
        "aws_region": ask.region,
        "aws_allow_http": str(not door.tls).lower(),
    }
    root = f"s3://{ask.bucket}/"

    def under(pattern: str, scan: object, **more: object) -> list[str]:
        read = scan(root + pattern, include_file_paths="path", storage_options=options, **more)
        return sorted(path.removeprefix(root) for path in read.select("path").unique().collect()["path"])

    def whole(key: str) -> list[object]:
        read = pl.read_parquet(root + key, glob=False, hive_partitioning=False, storage_options=options)
        return rows(zip(read["n"], read["text"], strict=True))

    def column(key: str) -> list[int]:
        read = pl.scan_parquet(root + key, glob=False, hive_partitioning=False, storage_options=options)
        return read.filter(pl.col("n") % 7500 == 1).select("n").collect()["n"].to_list()

    return {
        "list": lambda: under("table/**/*.parquet", pl.scan_parquet, hive_partitioning=False),
        "pages": lambda: names(under(f"{ask.many}*", pl.scan_csv, has_header=False)),
        "read": lambda: {key: whole(key) for key in ask.table},
        "ranges": lambda: {key: column(key) for key in ask.table},
    }


drive(client)
