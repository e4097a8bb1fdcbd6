"""What the fuzzers begin with: for each parser inputs that are right, or wrong in a known way."""

from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
_CREDENTIAL = b"Credential=CWKEY/20261027/us-east-1/s3/aws4_request"
_SIGNED = (
    b"Authorization: AWS4-HMAC-SHA256 "
    + _CREDENTIAL
    + b", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
    + b"0" * 64
    + b"\r\nX-Amz-Date: 20261027T000000Z\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n"
)
_PRESIGNED = (
    b"GET /train/a%20b?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=CWKEY%2F20261027%2Fus-east-1%2Fs3%2F"
    b"aws4_request&X-Amz-Date=20261027T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
)
_ENTRY = (
    b"<Contents><Key>abc&amp;d</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    b"<ETag>&quot;e&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"
)

SEEDS: dict[str, list[bytes]] = {
    "request": [
        b"GET /train/a.jpg HTTP/1.1\r\nHost: s3\r\n" + _SIGNED + b"\r\n",
        b"HEAD /ns?list-type=2&prefix=a%2F&delimiter=/ HTTP/1.1\r\nHost: train.s3\r\nRange: bytes=0-9\r\n\r\n",
        _PRESIGNED + b"0" * 64 + b" HTTP/1.1\r\nHost: s3\r\n\r\n",
        b"GET http://s3/train/a//b/../c HTTP/1.0\r\nHost: other\r\nConnection: keep-alive\r\n\r\n",
        b"PUT /train/x HTTP/1.1\r\nHost: s3\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        b"POST /train?delete HTTP/1.1\r\nHost: s3\r\nContent-Length: 5\r\nContent-MD5: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: s3\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s3\r\nX-Folded: a\r\n b\r\n\r\n",
    ],
    "answer": [
        b'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9\r\nETag: "e"\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 503 Slow Down\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
    ],
    "chunk": [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"a;chunk-signature=00\r\n0123456789\r\n1\r\nx\r\n0\r\nx-amz-checksum-crc32: AAAA\r\n\r\n",
        b"\x02FFFFFFFFFFFFFFFF\r\nx",
    ],
    "range": [b"bytes=0-9", b"bytes=5-", b"bytes=-5", b"bytes=1-2,4-5", b'W/"etag"', b"Sun, 06 Nov 1994 08:49:37 GMT"],
    "xml": [
        b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false'
        b"</IsTruncated>" + _ENTRY + b"<CommonPrefixes><Prefix>abd/</Prefix></CommonPrefixes></ListBucketResult>",
        b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        + _ENTRY.replace(b"abc&amp;d", b"abc%20d")
        + b"</ListBucketResult>",
        b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><ListBucketResult>&c;</ListBucketResult>',
    ],
    "yaml": [
        *(path.read_bytes() for path in sorted(EXAMPLES.glob("*.yaml"))),
        b"a: &x [1, *x]\n",
        b"lines: {a-b: {quota: 1Gbps, windows: [{when: 'Mon-Fri 09:00-21:00', tz: Asia/Shanghai, ceil: {x: 1}}]}}\n",
        b"cache:\n  - {match: '/ns/**', pin: {newest: 2}, ttl: 30d, quota: 20TiB, priority: high}\n",
    ],
}
"""By the target's name."""
