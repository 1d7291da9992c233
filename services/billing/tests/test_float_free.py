"""No float comes near money: proved over every line of the service."""

import ast
import sqlite3
from pathlib import Path
from typing import Any

import penstock_billing
import pytest
import servicekit.money
from penstock_billing.settings import BillingSettings
from penstock_billing.tables import metadata

PACKAGE = Path(penstock_billing.__path__[0])
MODULES = [*sorted(PACKAGE.rglob("*.py")), Path(servicekit.money.__file__)]
FORBIDDEN_NAMES = {
    "float",
    "Float",
    "REAL",
    "Double",
    "Numeric",
    "Decimal",
    "round",
    "sqrt",
    "truediv",
    "fsum",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_float_free_money(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float | complex)), where
        assert not isinstance(node, ast.Div), where  # true division makes floats; // does not
        assert not (isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES), where
        assert not (isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES), where
        assert not (isinstance(node, ast.ImportFrom | ast.Import) and _imports(node) & {"decimal", "math"}), (
            where
        )


def test_the_proof_finds_a_float_where_there_is_one() -> None:
    with pytest.raises(AssertionError):
        for node in ast.walk(ast.parse("cost = tokens * price / 10**6")):
            assert not isinstance(node, ast.Div)


async def test_every_amount_in_the_store_is_an_integer(billing: Any, settings: BillingSettings) -> None:
    await billing.create_budget(10**18)
    await billing.authorize(prompt_tokens=3, max_tokens=7)
    await billing.settle(input=3, output=1)
    with sqlite3.connect(settings.service_dir / "billing.db") as store:
        for table in metadata.sorted_tables:
            for column in (c.name for c in table.columns if c.name.endswith(("_nanos", "_us", "_tokens"))):
                types = store.execute(f"SELECT DISTINCT typeof({column}) FROM {table.name}").fetchall()
                assert types in ([], [("integer",)]), f"{table.name}.{column}"
    store.close()


def _imports(node: ast.ImportFrom | ast.Import) -> set[str]:
    module = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.partition(".")[0] for name in module}
