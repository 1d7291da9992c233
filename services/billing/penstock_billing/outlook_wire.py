"""Forecasts and anomalies as wire messages."""

from penstock.billing.v1 import usage_service_pb2

from penstock_billing.anomaly import Anomaly
from penstock_billing.clock import HOUR_US, to_timestamp
from penstock_billing.forecast import Forecast
from penstock_billing.outlook import Past


def write_forecast(past: Past, forecast: Forecast) -> usage_service_pb2.ForecastSpendResponse:
    """Write a forecast: what was spent and what will be."""
    spent = past.spent_nanos
    return usage_service_pb2.ForecastSpendResponse(
        start_time=to_timestamp(past.start_us),
        end_time=to_timestamp(past.end_us),
        spent_nanos=spent,
        end_p10_nanos=spent + forecast.p10_nanos,
        end_p50_nanos=spent + forecast.p50_nanos,
        end_p90_nanos=spent + forecast.p90_nanos,
        exhaustion_p10_hours=forecast.exhaustion_p10_hours,
        exhaustion_p50_hours=forecast.exhaustion_p50_hours,
        history_hours=len(past.history),
    )


def write_anomaly(anomaly: Anomaly, begin_us: int) -> usage_service_pb2.SpendAnomaly:
    """Write an anomaly of a history that began at a time."""
    return usage_service_pb2.SpendAnomaly(
        start_time=to_timestamp(begin_us + anomaly.place * HOUR_US),
        spent_nanos=anomaly.spent_nanos,
        expected_nanos=anomaly.expected_nanos,
        z_score_milli=anomaly.z_score_milli,
    )
