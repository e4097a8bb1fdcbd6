"""A thin client of etcd's v3 API: several servers, watches without loss, leases, elections."""
