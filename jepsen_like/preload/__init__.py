"""Libraries that are loaded before a process's own: compiling one, and the shim's controls."""
