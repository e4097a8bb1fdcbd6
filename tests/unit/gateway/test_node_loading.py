"""What a node loads before its doors are open: each tenth of a second is one in which readers of others wait for it."""

import subprocess
import sys


def test_the_admin_port_is_loaded_once_members_and_clients_are_served():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, gateway.app, gateway.cli.running; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.split())
    assert not {"aiohttp", "prometheus_client", "gateway.admin.server"} & loaded
