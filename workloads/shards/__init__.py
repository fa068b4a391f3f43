"""Shards: a data set as Parquet files of upright, checked images with their truth."""
