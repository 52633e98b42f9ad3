"""Limits and circuit breakers as they were set, and what counts them."""

from __future__ import annotations

from time import monotonic_ns

from handlers.operation.metrics import Metrics
from limits.authority import Authority
from limits.protection.circuit_breaker import BreakerPolicy, CircuitBreakers
from limits.protection.overload import OverloadProtection
from limits.request_limits import LimitSettings
from settings import LimitsScope, Settings
from storage.admission.cluster import ClusterAuthority
from storage.members.membership import Membership
from storage.mongo.database import Database


def make_breakers(settings: Settings, metrics: Metrics) -> CircuitBreakers | None:
    """The circuit breakers as they were set; None when they are off."""
    if not settings.circuit_breaker_enabled:
        return None
    policy = BreakerPolicy(
        failure_threshold=settings.circuit_breaker_failure_threshold,
        interval=settings.circuit_breaker_interval,
        timeout=settings.circuit_breaker_timeout,
        max_requests=settings.circuit_breaker_max_requests,
    )
    breakers = CircuitBreakers(policy, monotonic_ns, metrics.circuits.changed)
    metrics.circuits.watch(breakers.states)
    return breakers


def make_cluster(settings: Settings, database: Database, membership: Membership) -> ClusterAuthority | None:
    """Who counts for all servers on the database; None where each server counts for itself."""
    if settings.limits_scope is not LimitsScope.CLUSTER:
        return None
    return ClusterAuthority(database, membership)


def make_limit_settings(settings: Settings) -> LimitSettings:
    """The limits for every request."""
    return LimitSettings(
        max_concurrency=settings.max_concurrency,
        user_max_concurrency=settings.user_max_concurrency,
        rate_limit=settings.rate_limit,
        user_rate_limit=settings.user_rate_limit,
        rate_window=settings.rate_window,
        user_token_limit=settings.user_token_limit,
        token_window=settings.token_window,
        count_cache_reads=settings.count_cache_reads,
        user_budget=int(settings.user_budget_usd * 1_000_000),
        budget_period=settings.user_budget_period,
        budget_zone=settings.budget_timezone,
        reserve=settings.limits_reserve,
    )


def make_overload(settings: Settings, metrics: Metrics, authority: Authority | None) -> OverloadProtection:
    """What admits or refuses requests; `authority` decides, or this process alone without one."""
    return OverloadProtection(make_limit_settings(settings), authority=authority, on_refusal=metrics.rejected)
