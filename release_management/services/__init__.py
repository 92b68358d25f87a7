"""What happens: the command gateway, the reactors, the workers' loops, and the ports they need."""
