"""Leases: what the log says of them, and the leader's clock that ends them."""
