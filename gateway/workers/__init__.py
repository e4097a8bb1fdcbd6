"""Several processes of one node, under a supervisor that owns their listening sockets."""
