"""Where revisions of topology and policy, and the access keys, are kept."""
