"""Values of the router as messages of its contract, and back."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from penstock.inference.v1.inference_service_pb2 import LoadedModel
from penstock.router.v1 import api_key_pb2, model_pb2

from penstock_router.api_key import ApiKey
from penstock_router.catalog import Model

_EPOCH = datetime.fromtimestamp(0, UTC)


def api_key_to_proto(key: ApiKey) -> api_key_pb2.ApiKey:
    """Write a key."""
    message = api_key_pb2.ApiKey(
        name=key.name,
        display_name=key.display_name,
        user=key.user,
        team=key.team,
        roles=key.roles,
        tier=key.tier,
        models=key.models,
        priority=key.priority,
        secret_prefix=key.secret_prefix,
    )
    for name in ("create_time", "expire_time", "revoke_time"):
        at: datetime | None = getattr(key, name)
        if at is not None:
            timestamp: Timestamp = getattr(message, name)
            timestamp.FromDatetime(at)
    return message


def api_key_from_proto(organization: str, message: api_key_pb2.ApiKey) -> ApiKey:
    """Read a key that is wanted; output fields are not read."""
    expire_time = message.expire_time.ToDatetime(UTC) if message.HasField("expire_time") else None
    return ApiKey(
        organization=organization,
        id="",
        secret_prefix="",
        display_name=message.display_name,
        user=message.user,
        team=message.team,
        roles=tuple(message.roles),
        tier=message.tier,
        models=tuple(message.models),
        priority=message.priority,
        create_time=_EPOCH,
        expire_time=expire_time,
    )


def split_key_name(name: str) -> tuple[str, str]:
    """Read organization and id of `organizations/{organization}/apiKeys/{api_key}`."""
    _, organization, _, key_id = name.split("/")
    return organization, key_id


def model_to_proto(model: Model, loaded: LoadedModel | None) -> model_pb2.Model:
    """Write a model, and on which engine of ours it is loaded, if it is."""
    return model_pb2.Model(
        id=model.id,
        object="model",
        created=model.created,
        owned_by=model.owned_by,
        context_tokens=model.context_tokens,
        capabilities=[
            model_pb2.ModelCapability.Value(f"MODEL_CAPABILITY_{name.upper()}")  # type: ignore[misc] # int by its stub
            for name in sorted(model.capabilities)
        ],
        endpoints=list(dict.fromkeys(target.endpoint for target in model.targets)),
        engine=loaded.engine if loaded else "",
        weights_kind=loaded.weights_kind if loaded else "",
    )
