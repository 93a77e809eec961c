"""A package of a repository that asks who wants it."""

WORD = "world"
