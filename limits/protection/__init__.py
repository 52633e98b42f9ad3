"""Overload protection, the mixin that applies it, and what else protects the process and the providers."""
