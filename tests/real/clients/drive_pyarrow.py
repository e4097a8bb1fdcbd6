"""pyarrow (aws-sdk-cpp): its file system, whole files by stream and ranges by position."""

from driver import Ask, Door, Operations, digest, drive, names
from pyarrow import fs


def client(ask: Ask, door: Door) -> Operations:
    s3 = fs.S3FileSystem(
        endpoint_override=door.address, scheme=door.scheme, region=ask.region, force_virtual_addressing=door.virtual
    )

    def under(prefix: str) -> list[fs.FileInfo]:
        found = s3.get_file_info(fs.FileSelector(f"{ask.bucket}/{prefix}".rstrip("/"), recursive=True))
        return [one for one in found if one.type == fs.FileType.File]

    def key_of(about: fs.FileInfo) -> str:
        return about.path.removeprefix(f"{ask.bucket}/")

    def read(key: str) -> str:
        with s3.open_input_stream(f"{ask.bucket}/{key}") as stream:
            return digest(stream.read())

    def ranges() -> list[str]:
        with s3.open_input_file(f"{ask.bucket}/{ask.big}") as file:
            return [digest(file.read_at(end - start, start)) for start, end in ask.ranges]

    return {
        "list": lambda: {key_of(one): one.size for prefix in ask.prefixes for one in under(prefix)},
        "pages": lambda: names(key_of(one) for one in under(ask.many)),
        "read": lambda: {key: read(key) for key in ask.keys},
        "ranges": ranges,
    }


drive(client)
