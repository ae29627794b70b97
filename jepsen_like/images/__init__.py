"""Crash states of real files: record what the storage code writes, cut the power, open it again."""
