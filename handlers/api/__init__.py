"""The control plane: resources for people and dashboards, one a file."""
