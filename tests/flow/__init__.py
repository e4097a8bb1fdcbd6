"""Whole journeys: two regions in one process, real sockets, fake faults."""
