"""obstore: Rust's object_store."""

from driver import Ask, Door, Operations, digest, drive, every_condition, every_prefix, names
from obstore.exceptions import NotModifiedError, PreconditionError
from obstore.store import S3Store


def client(ask: Ask, door: Door) -> Operations:
    store = S3Store(
        ask.bucket,
        endpoint=f"{door.scheme}://{ask.bucket}.{door.address}" if door.virtual else door.url,
        virtual_hosted_style_request=door.virtual,
        client_options={"allow_http": not door.tls},
    )

    def under(prefix: str) -> dict[str, int]:
        return {one["path"]: one["size"] for page in store.list(prefix, chunk_size=50) for one in page}

    def asked(name: str, tag: str) -> str | int:
        try:
            return digest(bytes(store.get(ask.big, options={name.lower().replace("-", "_"): tag}).bytes()))
        except PreconditionError:
            return 412
        except NotModifiedError:
            return 304

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(under(ask.many)),
        "read": lambda: {key: digest(bytes(store.get(key).bytes())) for key in ask.keys},
        "ranges": lambda: [digest(bytes(store.get_range(ask.big, start=s, end=e))) for s, e in ask.ranges],
        "conditions": lambda: every_condition(ask, asked),
    }


drive(client)
