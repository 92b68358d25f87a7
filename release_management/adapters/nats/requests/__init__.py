"""Request and reply over the bus."""
