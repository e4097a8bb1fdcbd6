"""Where data is: paths under /ns, mounts, buckets, endpoints, routes and access keys."""
