"""What a node loads before its doors are open: each tenth of a second is one in which readers of others wait for it."""

import subprocess
import sys

UP = """
import sys
from gateway.app import Node
from gateway.cli.main import run

async def start(settings, **_):
    print(*sys.modules)
    sys.stdout.flush()
    sys.exit(0)

Node.start = start
run(["up", "--config", sys.argv[1]])
"""


def test_the_admin_port_is_loaded_once_members_and_clients_are_served(tmp_path):
    config = tmp_path / "node.yaml"
    config.write_text(f"region: a\ncache: {{paths: [{tmp_path}/c], size: 64MiB}}\n")

    done = subprocess.run([sys.executable, "-c", UP, str(config)], capture_output=True, text=True, check=False)

    loaded = set(done.stdout.split())
    assert "regioncache.store.store" in loaded, done.stderr
    assert not {"aiohttp", "prometheus_client", "gateway.admin.server", "gateway.workers.part"} & loaded
