"""Everything that talks to Kubernetes, behind the port `scaler.control.cluster_port.Cluster`.

Imports control and below; the home of the kubernetes client. Used by the commands alone.

The official client is used for what it does well: configuration, authentication, TLS and the
connection pool. Requests and answers are plain JSON: its models rename keys, drop what they do not
know and cannot send a server-side apply of one field. Why its informers and its leader election
are not used stands in `informer` and `leader_election`.
"""
