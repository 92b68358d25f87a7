"""Work queues and streams of JetStream."""
