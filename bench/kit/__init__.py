"""What bench/run is made of; bench/README.md says which file tells which story."""
