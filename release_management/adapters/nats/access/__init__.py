"""Access to the bus: accounts, users, permissions, and who sent a message."""
