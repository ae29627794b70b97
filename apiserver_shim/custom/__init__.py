"""Custom resource definitions: what they must be, and how they become resources."""
