"""minio-py: it takes virtual-host style only at hosts that it knows to speak it, and elsewhere when told."""

from driver import Ask, Door, Operations, digest, drive, every_condition, every_prefix, names
from minio import Minio
from minio.error import S3Error, ServerError


def client(ask: Ask, door: Door) -> Operations:
    # Without a region it asks for the location first, in path style whatever it is told.
    region = ask.region if door.virtual else None
    s3 = Minio(endpoint=door.address, access_key=ask.access, secret_key=ask.secret, secure=door.tls, region=region)
    if door.virtual:
        s3.enable_virtual_style_endpoint()

    def under(prefix: str) -> dict[str, int]:
        return {one.object_name: one.size for one in s3.list_objects(ask.bucket, prefix, recursive=True)}

    def read(key: str, **more: object) -> str:
        reply = s3.get_object(bucket_name=ask.bucket, object_name=key, **more)
        try:
            return digest(reply.stream(1 << 20))
        finally:
            reply.close()
            reply.release_conn()

    def asked(name: str, tag: str) -> str | int:
        try:
            return read(ask.big, request_headers={name: tag})
        except S3Error as refused:
            return refused.response.status
        except ServerError as refused:
            return refused.status_code

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(under(ask.many)),
        "read": lambda: {key: read(key) for key in ask.keys},
        "ranges": lambda: [read(ask.big, offset=start, length=end - start) for start, end in ask.ranges],
        "conditions": lambda: every_condition(ask, asked),
    }


drive(client)
