"""The way of a record into the database: `recorder.Recorder` is what the handlers use.

Documents and operations are pure. Between them and MongoDB is the outbox: a log on local disk, of which memory has what
is written next.
"""
