"""Ring 1, the mathematics: arrays in, arrays out; numpy and torch only."""
