"""Money: own prices, jobs that price calls again, and what calls cost."""
