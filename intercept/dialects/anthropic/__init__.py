"""What Anthropic's API speaks: messages, and batches of them."""
