"""Subresources with verbs of their own: a file each, registered in ``verbs.table``."""
