"""What the Penstock stack is made of, with embedded defaults, and the ports it listens on."""

import sys
from pathlib import Path

from penstock_cli.failure import Failure
from penstock_cli.place import Place
from penstock_cli.stack.credentials import bootstrap_key_file
from penstock_cli.stack.ports import Port
from penstock_cli.stack.program import Check, Program

# The longest to start comes first.
SERVICE_PORTS = {"inference": 50055, "router": 50051, "guardrail": 50052, "cache": 50053, "billing": 50054}
GATEWAY_PORT = 50061
METRICS_DISTANCE = 100

# The edge stops first, so that nothing new comes in; then the router, which needs all others to finish its work.
EDGE_STAGE, GATEWAY_STAGE, ROUTER_STAGE, SERVICES_STAGE = range(4)


def compose(place: Place) -> list[Program]:
    """Describe every program of a stack."""
    services = [_service(place, name) for name in SERVICE_PORTS]
    return [*services, _gateway(place), _edge(place)]


def ports(place: Place) -> list[Port]:
    """Give every port of a stack, with the setting that changes it."""
    move = "PENSTOCK_PORT_OFFSET to move the whole stack"
    listed = [Port(place.edge_port, "the edge", f"PENSTOCK_EDGE_PORT to another port, or {move}")]
    for name, default in SERVICE_PORTS.items():
        listed.append(Port(place.port(default), name, move))
        listed.append(Port(place.port(default + METRICS_DISTANCE), f"{name} metrics", move))
    listed.append(Port(place.port(GATEWAY_PORT), "the gateway", move))
    listed.append(
        Port(place.edge_admin_port, "Envoy admin", f"PENSTOCK_EDGE_ADMIN_PORT to another port, or {move}")
    )
    return listed


def _service(place: Place, name: str) -> Program:
    address = f"127.0.0.1:{place.port(SERVICE_PORTS[name])}"
    is_router = name == "router"
    return Program(
        name=name,
        command=(sys.executable, "-m", f"penstock_{name}"),
        check=Check("grpc", address),
        address=address,
        environment=_shared(place),
        secrets={"PENSTOCK_ROUTER_BOOTSTRAP_KEY": str(bootstrap_key_file(place.run_dir))}
        if is_router
        else {},
        stop_stage=ROUTER_STAGE if is_router else SERVICES_STAGE,
    )


def _gateway(place: Place) -> Program:
    address = f"127.0.0.1:{place.port(GATEWAY_PORT)}"
    return Program(
        name="gateway",
        command=(str(_built(place.root / "services/edge/bin/penstock-gateway")),),
        check=Check("http", f"http://{address}/readyz"),
        address=address,
        environment=_shared(place),
        stop_stage=GATEWAY_STAGE,
    )


def _edge(place: Place) -> Program:
    return Program(
        name="edge",
        command=(sys.executable, str(place.root / "services/edge/envoy/edge.py")),
        check=Check("http", f"{place.url}/readyz"),  # answered by the gateway, so through Envoy
        address=f"127.0.0.1:{place.edge_port}",
        environment={
            **_shared(place),
            "PENSTOCK_EDGE_PORT": str(place.edge_port),
            "PENSTOCK_EDGE_ADMIN_PORT": str(place.edge_admin_port),
        },
        stop_stage=EDGE_STAGE,
    )


def _shared(place: Place) -> dict[str, str]:
    """Give what every program is told."""
    return {
        "PENSTOCK_PORT_OFFSET": str(place.port_offset),
        "PENSTOCK_DATA_DIR": str(place.data_dir),
        "PENSTOCK_INFERENCE_CACHE_DIR": str(place.model_cache_dir),
    }


def _built(path: Path) -> Path:
    if not path.exists():
        raise Failure(f"{path} is not there", hint="Build everything with `make setup`.")
    return path
