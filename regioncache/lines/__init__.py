"""The line: who may bring how many bytes over it, and when."""
