"""The parts of the soak: what runs, what is sampled, what is judged."""
