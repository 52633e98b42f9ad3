"""Money by HTTP: own prices, and what calls cost."""
