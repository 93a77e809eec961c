"""A project as small as an image can hold."""

import sys

import greeting
import private
import sqlparse

print(greeting.WORD, private.WORD, sqlparse.format("select 1", keyword_case="upper"), "release 1", *sys.argv[1:])
