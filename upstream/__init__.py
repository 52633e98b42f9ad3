"""Outbound HTTP: providers and their routes, headers both ways, and one narrow client. The only package that speaks it."""
