"""Run billing: `python -m penstock_billing`."""

from servicekit.server import run

from penstock_billing.server import build
from penstock_billing.settings import BillingSettings

if __name__ == "__main__":
    run(build, BillingSettings)
