"""Libraries that are loaded before a process's own: how they are compiled, and a shim's controls."""
