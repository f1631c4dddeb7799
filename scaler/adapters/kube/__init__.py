"""Kubernetes, behind the port `scaler.control.cluster_port.Cluster`.

Imports control and below; the home of the kubernetes client. Used by the commands alone.

The official client provides the configuration, authentication, TLS and the connection pool.
Requests and responses are plain JSON: the client's models rename keys, drop unknown ones and cannot
send a server-side apply of one field. `informer` and `leader_election` say why the client's are not
used.
"""
