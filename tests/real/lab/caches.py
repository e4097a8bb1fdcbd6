"""What Causeway is measured beside: nginx sending files, nginx and varnish as caches, each one process on one core."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.real.lab.process import Child, child, free_port, listens, tool

HOST = "127.0.0.1"

_NGINX = """
daemon off; worker_processes 1; user root; pid {directory}/nginx.pid; error_log {directory}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 300s;
  types {{ }} default_type application/octet-stream;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
{http}
}}
"""

_STATIC = "  server {{ listen {host}:{port}; root {root}; }}"

_CACHE = """
  proxy_cache_path {directory}/cache levels=1:2 use_temp_path=off keys_zone=pages:64m max_size={size} inactive=1d;
  upstream origin {{ server {origin}; keepalive 64; }}
  server {{
    listen {host}:{port};
    location / {{
      slice 1m; proxy_cache pages; proxy_cache_key $uri$is_args$args$slice_range; proxy_cache_valid 200 206 1h;
      proxy_set_header Range $slice_range; proxy_set_header Host $http_host; proxy_set_header Connection "";
      proxy_http_version 1.1; proxy_cache_lock on; proxy_cache_lock_timeout 600s; proxy_pass http://origin;
    }}
  }}
"""

# The signature is of the origin's own host and stays as it is; what varnish would pass for its sake, it caches.
_VCL = """
vcl 4.1;
backend origin {{ .host = "{host}"; .port = "{port}"; }}
sub vcl_recv {{ return (hash); }}
sub vcl_backend_response {{ set beresp.ttl = 1h; set beresp.uncacheable = false; return (deliver); }}
"""


@dataclass(frozen=True, slots=True)
class Beside:
    """A running server that Causeway is measured beside."""

    name: str
    port: int
    process: Child

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


@contextlib.contextmanager
def nginx_static(directory: Path, root: Path, *, cpu: int | None = None) -> Iterator[Beside]:
    """Sends the files below `root` by sendfile."""
    port = free_port()
    with _nginx(directory, _STATIC.format(host=HOST, port=port, root=root), port, cpu) as running:
        yield running


@contextlib.contextmanager
def nginx_cache(directory: Path, origin: str, *, size: str = "30g", cpu: int | None = None) -> Iterator[Beside]:
    """Caches `origin` (host:port) in slices of 1 MiB."""
    port = free_port()
    http = _CACHE.format(host=HOST, port=port, directory=directory, origin=origin, size=size)
    with _nginx(directory, http, port, cpu) as running:
        yield running


@contextlib.contextmanager
def _nginx(directory: Path, http: str, port: int, cpu: int | None) -> Iterator[Beside]:
    program = tool("nginx")
    config = directory / "nginx.conf"
    config.write_text(_NGINX.format(directory=directory, http=http))
    args = [program, "-p", str(directory), "-c", str(config), "-e", str(directory / "nginx-error.log")]
    with child("nginx", args, directory, cpu=cpu) as process:
        process.wait_until(listens(HOST, port))
        yield Beside("nginx", port, process)


@contextlib.contextmanager
def varnish(directory: Path, origin: str, *, size: str = "30G", cpu: int | None = None) -> Iterator[Beside]:
    """Caches `origin` (host:port) whole objects in a file."""
    program = tool("varnishd")
    port = free_port()
    host, _, origin_port = origin.rpartition(":")
    vcl = directory / "varnish.vcl"
    vcl.write_text(_VCL.format(host=host, port=origin_port))
    args = [program, "-F", "-j", "none", "-n", str(directory / "varnish"), "-a", f"{HOST}:{port}", "-f", str(vcl)]
    args += ["-s", f"file,{directory}/varnish.store,{size}", "-p", "thread_pools=1", "-T", "none"]
    with child("varnish", args, directory, cpu=cpu) as process:
        process.wait_until(listens(HOST, port))
        yield Beside("varnish", port, process)
