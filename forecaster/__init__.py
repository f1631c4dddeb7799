"""tidegate's forecaster: requests per second of a service, as calibrated quantiles.

The line, one direction: Prometheus -> History -> anchors -> model -> Forecast.
"""

__version__ = "0.1.0"
