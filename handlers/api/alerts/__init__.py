"""Who is told of alerts, by HTTP."""
