"""What the integration tests share: the real programs, and clients that show exact bytes. Python 3.9+, stdlib only."""
