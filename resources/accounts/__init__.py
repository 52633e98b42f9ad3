"""People and what lets them in: users, groups, policies, tokens, sign-ins, and the audit trail."""
