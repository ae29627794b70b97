"""A thin Kubernetes API on raftkv: DESIGN.md says how a request walks through it."""
