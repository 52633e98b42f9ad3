"""What providers report of usage and costs by their APIs."""
