"""What keeps the system busy."""
