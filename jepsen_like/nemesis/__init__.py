"""What to break next, as values drawn from a seed."""
