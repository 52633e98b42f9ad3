"""The services of requests below a provider: recorded, passed through, or not served."""
