"""The proxy: Services' addresses on loopback, forwarded to their endpoints."""
