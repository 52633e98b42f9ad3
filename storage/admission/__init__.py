"""Limits that all processes on one database have together: `admissions.Admissions` is what `limits` is given."""
