"""The parts put together: one road for data, in one process or in several."""
