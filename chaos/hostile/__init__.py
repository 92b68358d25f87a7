"""One client that does its worst, and an honest one beside it."""
