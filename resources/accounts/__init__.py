"""Accounts: users, groups, policies, tokens, sign-ins, and the audit trail."""
