"""nginx as a reverse proxy: the cost of passing bytes on without reading them."""

from __future__ import annotations

import shutil
import subprocess

from benchmarks.gateways.runners.runner import Program, Runner, Setup, UnavailableError

CONFIGURATION = """
daemon off;
master_process off;
worker_rlimit_nofile 16000;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    client_body_buffer_size 512k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream provider {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


class Nginx(Runner):
    """Debian's package, in one process that ends with its parent."""

    name = "nginx"

    def prepare(self) -> str:
        """The installed version."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise UnavailableError("not installed; on Debian: apt-get install nginx-light")
        self._program = program
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        return said.strip().rpartition("nginx/")[2]

    def program(self, setup: Setup) -> Program:
        """Write its configuration."""
        configuration = setup.folder / "nginx.conf"
        where = {"folder": setup.folder, "upstream": setup.upstream, "port": setup.port}
        configuration.write_text(CONFIGURATION.format(**where))
        return Program([self._program, "-p", setup.folder, "-c", configuration])
