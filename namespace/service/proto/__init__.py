"""The messages of the namespace service."""
