"""The comparison of gateways: what is measured, of whom, and how."""
