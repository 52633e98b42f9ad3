"""One engine for all that is added up: a question about calls, refusals or sessions, and its answer in groups.

`question` says what can be asked, `plan` which documents have the answer, `sources` how MongoDB adds these up, and
`questions` answers.
"""
