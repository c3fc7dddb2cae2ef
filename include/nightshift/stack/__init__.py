"""The local stack: runtimes, ports, passwords, processes, and the supervisor that keeps them up."""
