"""Reading among the members of a region: through an extent's owner, and, as its new owner, from those before."""
