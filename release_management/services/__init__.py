"""The application services: the command gateway, the workers' loops, and the ports that they need."""
