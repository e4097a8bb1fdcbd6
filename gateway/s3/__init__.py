"""The S3 door, read side."""
