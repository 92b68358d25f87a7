"""The gateway: the one writer. It queues commands, decides them in batches, and appends what follows."""
