"""Protection of the process and the providers, in addition to the limits of a request."""
