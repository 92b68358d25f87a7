"""Observations: what executors see of what they deployed, damped and shown with its age."""
