"""What learns and decides: deciders, tasks, evidence models, evaluation, the registry."""
