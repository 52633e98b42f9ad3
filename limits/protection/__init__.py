"""What protects the process and the providers beside the limits of a request."""
