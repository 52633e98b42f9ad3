"""Accounts: users, groups, tokens, sign-in sessions, their verification, and the audit trail."""
