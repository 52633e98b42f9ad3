"""OpenAI's APIs: chat completions, responses, and older and smaller ones."""
