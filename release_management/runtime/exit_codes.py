"""How a role of `relman up` tells the supervisor why it gives up."""

SENTENCE = "error: "
"""What the line with the reason begins with, on standard error."""
FINAL = 4
"""The exit code where starting it again cannot help."""
