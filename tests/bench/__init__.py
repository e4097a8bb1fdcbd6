"""Side by side with nginx, varnish and the origin; `make bench` writes build/bench.json."""
