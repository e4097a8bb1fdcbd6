"""duckdb with its extension httpfs: objects as blobs, tables in parquet, whole and a column of them."""

from pathlib import Path

import duckdb
import duckdb_extension_httpfs
from driver import Ask, Door, Operations, digest, drive, names, rows


def client(ask: Ask, door: Door) -> Operations:
    packaged = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
    (extension,) = packaged.rglob("httpfs.duckdb_extension")
    db = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    db.execute(f"LOAD '{extension}'")
    style = "vhost" if door.virtual else "path"
    db.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{ask.access}', SECRET '{ask.secret}', REGION '{ask.region}', "
        f"ENDPOINT '{door.address}', URL_STYLE '{style}', USE_SSL {str(door.tls).lower()})"
    )
    root = f"s3://{ask.bucket}/"

    def under(pattern: str) -> list[str]:
        return sorted(path.removeprefix(root) for (path,) in db.execute("FROM glob(?)", [root + pattern]).fetchall())

    def sizes() -> dict[str, int]:
        found = {}
        for prefix in ask.prefixes:
            told = db.execute("SELECT filename, size FROM read_blob(?)", [f"{root}{prefix}**"]).fetchall()
            found |= {path.removeprefix(root): size for path, size in told}
        return found

    def blob(key: str) -> str:
        return digest(db.execute("SELECT content FROM read_blob(?)", [root + key]).fetchone()[0])

    def whole(key: str) -> list[object]:
        return rows(db.execute("SELECT n, text FROM read_parquet(?)", [root + key]).fetchall())

    def column(key: str) -> list[int]:
        found = db.execute("SELECT n FROM read_parquet(?) WHERE n % 7500 = 1 ORDER BY n", [root + key]).fetchall()
        return [n for (n,) in found]

    return {
        "list": sizes,
        "pages": lambda: names(under(f"{ask.many}*")),
        "read": lambda: {key: blob(key) for key in ask.keys} | {key: whole(key) for key in ask.table},
        "ranges": lambda: {key: column(key) for key in ask.table},
    }


drive(client)
