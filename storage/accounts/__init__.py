"""Who may call: users, tokens, sign-in sessions, how each is verified, and the audit trail of it."""
