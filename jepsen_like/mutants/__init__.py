"""Planted bugs, and the proof that the checkers find each of them."""
