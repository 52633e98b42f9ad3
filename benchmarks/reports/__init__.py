"""From measured values to samples, tables, verdicts, the picture and the page."""
