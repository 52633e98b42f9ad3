"""How a provider is shown who asks: keys, bearer tokens and signatures, and which of a provider's keys a call uses."""
