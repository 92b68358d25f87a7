"""The roles of an installation, each of which can be a process of its own: `relman serve ROLE`."""
