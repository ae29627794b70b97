"""TLS for the client port, the peer port, and calls between members; see docs/tls.md."""
