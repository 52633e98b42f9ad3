"""The way of a record into the database: `recorder.Recorder` is what the handlers use.

Documents and operations are pure. Between them and MongoDB are a queue, a log and a journal on local disk.
"""
