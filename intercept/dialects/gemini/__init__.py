"""What Google's Gemini API and Vertex speak."""
