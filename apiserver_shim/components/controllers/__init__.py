"""The controllers: each brings one kind of object from what is to what its spec says."""
