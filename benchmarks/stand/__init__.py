"""What a measurement is made with: an upstream, load, what they exchange, processes, certificates."""
