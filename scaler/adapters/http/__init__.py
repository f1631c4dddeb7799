"""The HTTP endpoint: limits for gateways, forecasts and plans for people, metrics for Prometheus.

Imports control and below; the home of fastapi. Used by the commands, and by envoy, grpc and keda.

snapshot_holder -> what the loop published last, handed from its thread to the server's
lease_aging     -> what of a published limit is still true some seconds after its tick
lease_document  -> a gateway's lease as JSON, or as a HAProxy map
share_ledger    -> one service: who holds which share, and whether the last answer still stands
lease_service   -> all services
long_poll       -> gateways that wait for a change
routes          -> HTTP; app puts them together; server runs them
"""
