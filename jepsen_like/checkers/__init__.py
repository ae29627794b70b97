"""Judges: each takes a history and says valid, invalid or unknown, with the reason in words."""
