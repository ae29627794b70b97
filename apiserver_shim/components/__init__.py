"""The small control plane: each part uses only the API, as anybody's program would."""
