"""Limits that all workers of a server have together: the supervisor decides, over the socket it has with each worker."""

from runtime.authority.server import ServerAuthority
from runtime.authority.worker import WorkerAuthority, WorkerLink

__all__ = ["ServerAuthority", "WorkerAuthority", "WorkerLink"]
