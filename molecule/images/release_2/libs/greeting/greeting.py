"""A package that lies beside the application."""

WORD = "hello"
