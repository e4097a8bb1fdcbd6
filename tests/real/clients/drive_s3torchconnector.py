"""The S3 connector for PyTorch, by its client package (the AWS CRT): what its readers and data sets are made of."""

from driver import Ask, Door, Operations, digest, drive, every_prefix, names
from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client


def client(ask: Ask, door: Door) -> Operations:
    s3 = MountpointS3Client(region=ask.region, endpoint=door.url, force_path_style=not door.virtual)

    def under(prefix: str) -> dict[str, int]:
        return {one.key: one.size for page in s3.list_objects(ask.bucket, prefix) for one in page.object_info}

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(under(ask.many)),
        "read": lambda: {key: digest(s3.get_object(ask.bucket, key)) for key in ask.keys},
        "ranges": lambda: [digest(s3.get_object(ask.bucket, ask.big, s, e)) for s, e in ask.ranges],
    }


drive(client)
