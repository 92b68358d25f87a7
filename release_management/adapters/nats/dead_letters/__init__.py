"""Dead letters: messages that nobody can act on, kept with the reason for an operator."""
