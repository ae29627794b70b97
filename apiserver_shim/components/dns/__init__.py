"""DNS for service names."""
