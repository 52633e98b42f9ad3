"""Limits that all servers on one database have together: `cluster.ClusterAuthority` decides for one of them."""
