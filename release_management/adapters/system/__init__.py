"""The machine: clock, files, locks, environment variables, memory."""
