"""The parts put together: all roles in one process or in several, and the ways to reach them."""
