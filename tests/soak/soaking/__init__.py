"""The parts of tests/soak/run."""
