"""How it touches the world: event store, read-model store, NATS, executors, keys."""
