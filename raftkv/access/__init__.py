"""Who asked for what, and what came of it: the access log and the busiest callers."""
