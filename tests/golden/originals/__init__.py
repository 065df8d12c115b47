"""The original networks, taken from where they were published, and what the parity tests need of them."""
