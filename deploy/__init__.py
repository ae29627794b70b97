"""How raftkv gets onto machines: packages, a container, units and manifests; see docs/deploy.md."""
