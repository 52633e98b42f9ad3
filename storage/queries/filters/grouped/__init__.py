"""What calls are grouped by, and how groups are added up."""
