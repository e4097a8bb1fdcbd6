"""What a running node tells and does for its administrators: `gateway.admin.operations` over the real parts."""
