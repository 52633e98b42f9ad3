"""Which version of AI Bridge this is."""

VERSION = "0.1.0"
