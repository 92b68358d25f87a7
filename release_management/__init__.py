"""Event-sourced release management."""
