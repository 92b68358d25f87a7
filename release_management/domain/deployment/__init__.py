"""Deployment: one release walks one plan. Stream `deployment:<uuid7>`."""
