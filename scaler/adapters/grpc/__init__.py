"""gRPC beside HTTP: one server for whatever service is added to it. Needs the extra `grpc`."""
