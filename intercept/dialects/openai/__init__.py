"""What OpenAI's API speaks: chat completions, responses, and what is older or smaller."""
