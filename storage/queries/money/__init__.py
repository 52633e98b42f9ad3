"""What calls cost, and whether a bill agrees."""
