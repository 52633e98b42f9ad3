"""The comparison of gateways: how each is started, the measurements, and the run over all of them."""
