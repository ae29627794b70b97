"""Breaking a cluster on purpose, and judging from outside whether it stayed whole."""
