"""Backups: whole images, what happened since, and the way back; see docs/backup.md."""
