"""What is made of measured values: samples, tables, verdicts, the picture and the page."""
