"""The global namespace service: regions watch it over gRPC; it keeps what it is told in etcd. Several are as one."""
