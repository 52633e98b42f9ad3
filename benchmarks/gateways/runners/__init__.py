"""The gateways that are measured, one in each file."""
