"""HTTP/1.1 as the data path needs it: a server, a client and SigV4. Knows neither S3 nor peers."""
