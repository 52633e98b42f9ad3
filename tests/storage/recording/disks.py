"""Full disks."""

import resource
from contextlib import contextmanager


@contextmanager
def largest_file(size):
    """The disk takes no file of more bytes than that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
