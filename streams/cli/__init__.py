"""The `twins` command: one module a command, loaded when the command is called."""
