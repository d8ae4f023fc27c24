"""Runs the checks of the examples named on the command line, or of all of them."""

import sys
import tempfile

import card_fraud
import customer_analytics
import iot_fleet
import patient_monitoring
import security
import trading
from common import Server
from harness import Tally

CHECKS = {
    "card-fraud": card_fraud.check,
    "trading": trading.check,
    "iot-fleet": iot_fleet.check,
    "patient-monitoring": patient_monitoring.check,
    "security": security.check,
    "customer-analytics": customer_analytics.check,
}


def main(names: list[str]) -> int:
    tally = Tally()
    for name in names or CHECKS:
        with tempfile.TemporaryDirectory(prefix="thalweg-example-") as folder, Server("--data", f"{folder}/data") as server:
            tally.run(name, CHECKS[name], server, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
