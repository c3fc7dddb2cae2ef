"""The step contract: a step is a function of its inputs, run as a process of its own."""
