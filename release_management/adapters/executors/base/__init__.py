"""What every executor keeps beside a target: its lock, its fence, its reports; and the processes that it starts."""
