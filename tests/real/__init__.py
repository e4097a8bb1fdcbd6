"""Real processes: S3 servers, nodes, network namespaces, killed processes."""
