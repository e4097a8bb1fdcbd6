"""boto3, new and old: as its own guides use it, with nothing set but the address and its style."""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from driver import Ask, Door, Operations, digest, drive, every_condition, every_prefix, names


def client(ask: Ask, door: Door) -> Operations:
    s3 = boto3.client(
        "s3",
        endpoint_url=door.url,
        config=Config(s3={"addressing_style": "virtual" if door.virtual else "path"}),
    )
    big = {"Bucket": ask.bucket, "Key": ask.big}

    def keys_under(prefix: str) -> dict[str, int]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=ask.bucket, Prefix=prefix)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", ())}

    def read(key: str) -> str:
        return digest(s3.get_object(Bucket=ask.bucket, Key=key)["Body"].read())

    def span(start: int, end: int) -> str:
        return digest(s3.get_object(**big, Range=f"bytes={start}-{end - 1}")["Body"].read())

    def asked(name: str, tag: str) -> str | int:
        try:
            return digest(s3.get_object(**big, **{name.replace("-", ""): tag})["Body"].read())
        except ClientError as refused:
            return int(refused.response["ResponseMetadata"]["HTTPStatusCode"])

    return {
        "list": lambda: every_prefix(ask, keys_under),
        "pages": lambda: names(keys_under(ask.many)),
        "read": lambda: {key: read(key) for key in ask.keys},
        "ranges": lambda: [span(start, end) for start, end in ask.ranges],
        "conditions": lambda: every_condition(ask, asked),
    }


drive(client)
