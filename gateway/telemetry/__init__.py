"""Traces of sampled reads and the metrics, sent to an OpenTelemetry collector: only where node.yaml names one."""
