"""What a call costs: its tokens at the operator's own prices, else at list prices."""
