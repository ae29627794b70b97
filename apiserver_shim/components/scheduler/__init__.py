"""The scheduler: which node each new pod runs on."""
