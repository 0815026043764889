"""What drives a session at random: a record of the user's deeds, an oracle, invariants, rules."""
