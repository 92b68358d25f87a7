"""The exit code and the last line by which a role of `relman up` tells the supervisor why it gives up."""

SENTENCE = "error: "
"""The beginning of the line with the reason, on standard error."""
FINAL = 4
"""The exit code if a restart cannot help."""
