"""The pages that are made from the code: docs/man and docs/limits.md."""
