"""A node without etcd is alone and loads nothing of clusters."""

import subprocess
import sys

ALONE = """
import asyncio, sys
from pathlib import Path
from gateway.app import Node
from gateway.config import parse

async def main(directory):
    doors = ", ".join(f"{door}: '127.0.0.1:0'" for door in ("s3", "peer", "admin"))
    text = f"region: a\\ncache: {{paths: [c], size: 64MiB}}\\nlisten: {{{doors}}}\\n"
    node = await Node.start(parse(text, "node.yaml", directory))
    assert node.running.app.settings.ownership.alone
    node.operations.status(), node.operations.members(), node.operations.metrics()
    await node.stop(0.0)
    loaded = {"grpc", "google.protobuf", "namespace.etcdclient.client", "regioncache.cluster.membership"}
    print(sorted(loaded & set(sys.modules)))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_without_etcd_nothing_of_clusters_is_loaded(tmp_path):
    done = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.stdout == "[]\n", done.stderr
