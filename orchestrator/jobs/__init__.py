"""Jobs on a cluster: an ordinary command line, run where the cluster is, and its record."""
