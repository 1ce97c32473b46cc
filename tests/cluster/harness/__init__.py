"""The test cluster: real Kubernetes processes in namespaces of their own, one supervisor per cluster."""
