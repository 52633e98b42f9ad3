"""What Amazon Bedrock speaks: InvokeModel and Converse."""
