"""The domain: events, commands, states, decisions, plans and policies. No I/O, no clock, no randomness."""
