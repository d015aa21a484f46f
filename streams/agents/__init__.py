"""What thinks rather than counts, on Faust: the planner, which decides which question a twin is worth asking."""
