"""What providers report of usage and costs: their APIs, and the files that clouds export."""
