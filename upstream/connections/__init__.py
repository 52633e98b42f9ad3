"""How a provider is reached: addresses, proxies, TLS, and connections that are kept."""
