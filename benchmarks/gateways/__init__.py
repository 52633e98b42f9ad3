"""The comparison of gateways: the gateways, the measurements, and how each is made."""
