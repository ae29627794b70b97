"""What clients do: each workload gives its sessions' next request, and names its checkers."""
