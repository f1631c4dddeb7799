"""What talks to the world outside: one package or module for each part of it."""
