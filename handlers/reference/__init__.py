"""What the API says of itself: its OpenAPI document, as Python types and plain data. One resource a file, no I/O."""
