"""The HTTP endpoint: limits for gateways, forecasts and plans for people, metrics for Prometheus.

Imports control and below; the home of fastapi. Used by the commands, and by envoy, grpc and keda.

grants          -> who may do what, by the lines of the token file; auth reads it, access applies it
snapshot_holder -> the latest snapshot, handed from the control loop's thread to the server's
lease_aging     -> what of a published limit still holds some seconds after its tick
lease_document  -> a gateway's lease as JSON or as a HAProxy map
share_ledger    -> the shares of one service's gateways
issued_leases   -> the lease issued last to each of them
instance_owners -> whose the gateways of one service are
lease_service   -> the ledgers of all services
long_poll       -> gateways that wait until their lease changes
routes          -> the HTTP routes; app puts them together, server runs them
"""
