"""The HTTP endpoint: limits for gateways, forecasts and plans for people, metrics for Prometheus.

holder   -> what the loop published last; publishing from the loop's thread
aging    -> what of an offer is still true some seconds after its tick
body     -> the lease as JSON or as a HAProxy map
counter  -> one service: who holds which share, and whether what it was told still stands
desk     -> all services
lobby    -> gateways that wait for a change
routes   -> HTTP; app puts them together; serving runs them
"""
