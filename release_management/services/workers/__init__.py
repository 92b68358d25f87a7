"""The workers that act on the log: orchestrator, timers and relay."""
