"""Everything that talks to Kubernetes, behind the port `scaler.control.cluster_port.Cluster`.

The official client is used for what it does well: configuration, authentication, TLS and the
connection pool. Requests and answers are plain JSON: its models rename keys, drop what they do not
know and cannot send a server-side apply of one field. Why its informers and its leader election
are not used stands in `informer` and `lease`.
"""
