"""Money: own prices, and what calls cost."""
