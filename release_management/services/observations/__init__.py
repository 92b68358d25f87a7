"""Executors' observations of components, damped and shown with their age."""
