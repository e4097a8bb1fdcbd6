"""The policy file and the arithmetic that keeps it: units, rules, buckets, shares."""
