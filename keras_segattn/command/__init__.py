"""The command `keras-segattn`, one module per subcommand."""
