"""The model catalog: which models there are, and which endpoints serve them. Read once from YAML; pure after that."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from servicekit.errors import InvalidArgument, NotFound

Capability = Literal["chat", "embeddings", "tools", "structured_output", "images", "logprobs", "completions"]
COMPLETION_TOKENS_DEFAULT = 4096
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Endpoint(BaseModel):
    """A place where models run."""

    model_config = _STRICT

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    kind: Literal["inference", "openai"]
    base_url: str = ""
    api_key_variable: str = ""
    private: bool = False
    region: str = ""

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.kind == "openai" and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"endpoint {self.name}: base_url must be an http or https URL")
        return self


class Target(BaseModel):
    """A model at an endpoint, under the name it has there, with what billing prices it as."""

    model_config = _STRICT

    endpoint: str
    model: str
    sku: str


class Model(BaseModel):
    """A model that requests may name. Its targets are tried in order."""

    model_config = _STRICT

    id: Annotated[str, Field(min_length=1, max_length=256)]
    owned_by: str = "penstock"
    created: int = 0
    context_tokens: int = 0
    completion_tokens_max: int = COMPLETION_TOKENS_DEFAULT
    capabilities: frozenset[Capability]
    semantic_cache: bool = False
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=16)]

    def require(self, capability: Capability, field: str) -> None:
        """Raise InvalidArgument (UNSUPPORTED_FEATURE) unless the model can do it."""
        if capability not in self.capabilities:
            raise InvalidArgument(
                "UNSUPPORTED_FEATURE",
                f"{self.id} cannot do what {field} asks for ({capability}).",
                metadata={"field": field, "model": self.id},
            )


class _File(BaseModel):
    model_config = _STRICT

    endpoints: tuple[Endpoint, ...]
    models: tuple[Model, ...]


class CatalogError(Exception):
    """The catalog file is missing or wrong; the message says where."""


class Catalog:
    """All models and endpoints, by name."""

    def __init__(self, endpoints: Sequence[Endpoint], models: Sequence[Model]) -> None:
        self.endpoints: Mapping[str, Endpoint] = {endpoint.name: endpoint for endpoint in endpoints}
        self.models: Mapping[str, Model] = {model.id: model for model in sorted(models, key=_by_id)}
        for model in models:
            for target in model.targets:
                if target.endpoint not in self.endpoints:
                    raise CatalogError(f"model {model.id}: no endpoint is named {target.endpoint!r}")

    def model(self, model_id: str, allowed: Sequence[str] = ()) -> Model:
        """Give a model by id.

        Raises:
            NotFound: there is none, or the principal may not use it (MODEL_NOT_FOUND).
        """
        model = self.models.get(model_id)
        if model is None or (allowed and model_id not in allowed):
            raise NotFound(
                "MODEL_NOT_FOUND",
                f"No model is named {model_id!r}; GET /v1/models lists them.",
                metadata={"model": model_id},
            )
        return model


def load_catalog(path: Path) -> Catalog:
    """Read a catalog file.

    Raises:
        CatalogError: the file is missing, not YAML, or says something that cannot be.
    """
    try:
        file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise CatalogError(f"{path}: {error}") from error
    return Catalog(file.endpoints, file.models)


def _by_id(model: Model) -> str:
    return model.id
