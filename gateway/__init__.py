"""The doors: S3, the admin port and the command line."""
