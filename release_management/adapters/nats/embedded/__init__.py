"""The nats-server that an installation starts for itself."""
