"""Set-ups of trainings, see `trainer.training.config`."""
