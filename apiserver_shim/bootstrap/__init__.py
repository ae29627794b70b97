"""Part of the shim: see ../DESIGN.md."""
