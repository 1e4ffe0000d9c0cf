"""What the system calls, owned by us."""
