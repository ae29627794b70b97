"""A cluster of real processes, and what can be broken of it."""
