"""deltalake (delta-rs over Rust's object_store): a Delta table by its log."""

from deltalake import DeltaTable, QueryBuilder
from driver import Ask, Door, Operations, drive, rows


def client(ask: Ask, door: Door) -> Operations:
    options = {
        "AWS_ENDPOINT_URL": f"{door.scheme}://{ask.bucket}.{door.address}" if door.virtual else door.url,
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(door.virtual).lower(),
        "AWS_ALLOW_HTTP": str(not door.tls).lower(),
    }
    root = f"s3://{ask.bucket}/"

    def table() -> DeltaTable:
        return DeltaTable(root + ask.delta, storage_options=options)

    def query(what: str) -> dict[str, list]:
        read = QueryBuilder().register("t", table()).execute(what).read_all()
        return {name: read.column(name).to_pylist() for name in read.schema.names}

    def whole() -> list[object]:
        found = query("SELECT n, text FROM t")
        return rows(zip(found["n"], found["text"], strict=True))

    return {
        "list": lambda: sorted(uri.removeprefix(root) for uri in table().file_uris()),
        "read": whole,
        "ranges": lambda: query("SELECT n FROM t WHERE n % 7500 = 1 ORDER BY n")["n"],
    }


drive(client)
