"""The steps between a decoded write and the store, a file each."""
