"""Which providers there are, of which types, and which of them a call is for."""
