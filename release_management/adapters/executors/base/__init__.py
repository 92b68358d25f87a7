"""The base of executors: locks, fences and stored reports of each component, and child processes."""
