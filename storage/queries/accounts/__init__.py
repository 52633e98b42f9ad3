"""People, tokens and the audit trail, as lists show them."""
