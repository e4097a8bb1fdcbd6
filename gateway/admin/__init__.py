"""The admin port: health, metrics and the operators' API."""
