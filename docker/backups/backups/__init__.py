"""Scheduled backups, backups on demand, and restores beside what is live.

backups serve    prepares the repository, takes the first backup, then those of the schedule; the main process
backups now      takes a backup now and prints what was written
backups health   exits with 1 and the reason when backups are too old or fail
backups list     prints the backups of the repository
backups check    refuses a restore that cannot succeed and prints the time of the state that it would restore
backups restore  restores beside the live data
backups swap     puts the restored data in the live data's place and keeps the old
backups revert   puts the old data back
backups discard  removes data that was kept by swap

BACKUPS_OF says of what: database (pgBackRest, database.py) or volumes (restic, volumes.py). Settings are read from the
JSON file BACKUPS_CONFIG, those of pgBackRest and restic from their own environment and files.
"""
