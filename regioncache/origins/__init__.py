"""Stores as the transfer layer sees them: one small protocol, one module a provider."""
