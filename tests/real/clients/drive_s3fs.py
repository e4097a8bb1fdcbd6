"""s3fs (fsspec over aiobotocore): as a file system, with its files opened and read in places."""

import io

import s3fs
from botocore.exceptions import ClientError
from driver import Ask, Door, Operations, digest, drive, every_condition, every_prefix, names


def client(ask: Ask, door: Door) -> Operations:
    style = {"s3": {"addressing_style": "virtual" if door.virtual else "path"}}
    fs = s3fs.S3FileSystem(endpoint_url=door.url, config_kwargs=style, skip_instance_cache=True)
    root = f"{ask.bucket}/"

    def under(prefix: str) -> dict[str, int]:
        found = fs.find(root + prefix, detail=True, withdirs=False)
        return {path.removeprefix(root): about["size"] for path, about in found.items()}

    def ranges() -> list[str]:
        with fs.open(root + ask.big, "rb", cache_type="none") as file:
            return [digest(span_of(file, start, end)) for start, end in ask.ranges]

    def span_of(file: io.RawIOBase, start: int, end: int) -> bytes:
        file.seek(start)
        return file.read(end - start) or b""

    def asked(name: str, tag: str) -> str | int:
        try:
            reply = fs.call_s3("get_object", Bucket=ask.bucket, Key=ask.big, **{name.replace("-", ""): tag})
            return digest(s3fs.core.sync(fs.loop, reply["Body"].read))
        except OSError as refused:
            if not isinstance(refused.__cause__, ClientError):
                raise
            return int(refused.__cause__.response["ResponseMetadata"]["HTTPStatusCode"])

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(under(ask.many)),
        "read": lambda: {key: digest(fs.cat_file(root + key)) for key in ask.keys},
        "ranges": ranges,
        "conditions": lambda: every_condition(ask, asked),
    }


drive(client)
