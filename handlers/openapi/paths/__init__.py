"""The paths of `/openapi.json`, one resource a file."""
