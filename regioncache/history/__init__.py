"""The ledger's past: who moved what over which line, in slots of five minutes."""
