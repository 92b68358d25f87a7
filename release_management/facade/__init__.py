"""The facade: `ReleaseManager` for Python and the command line, and the views that it returns."""
