"""What moves: topics, the updater, agents, workers, the console and the command line."""
