"""Storage: folders of this machine and buckets behind one seam, and addresses in them."""
