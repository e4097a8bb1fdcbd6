"""A line's quota kept by many nodes together: what they tell the lease office, what it grants, what they may use."""
