"""Every S3 client of `docs/clients.md`, each in an environment of its own, against running nodes."""
