"""What is sold: quotes, orders, and tabs of what was used."""
