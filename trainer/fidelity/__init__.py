"""How true the twins are: frozen cases, whoever answers them, and what the answers are worth."""
