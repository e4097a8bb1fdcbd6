"""Far regions that are clusters: which nodes they have, which one is asked, and which of them answer."""
