"""Users, their tokens and sign-ins, changes of them, and the audit trail."""
