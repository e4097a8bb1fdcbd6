"""The reader's own view of a path: how long its first byte and its last take, cold and warm, through the S3 door."""
