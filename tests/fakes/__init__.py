"""Fakes that count: a clock that only moves when told, origins over objects computed on the fly, faults on demand."""
