"""What is true: events, commands, states, decisions, plans and policies. No I/O, no clock, no randomness."""
