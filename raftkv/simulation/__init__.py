"""The deterministic world: virtual time, network and disk for whole clusters in one process."""
