"""What a bidirectional network may be asked, and what it may not."""
