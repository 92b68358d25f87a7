"""Adapters to the outside world: event store, read-model store, NATS, executors, keyrings."""
