"""Parts that several roles share: connection, lease, health, probes, and what is watched beside the work."""
