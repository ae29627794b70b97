"""OpenTelemetry spans of calls, from the request through the log to the answer."""
