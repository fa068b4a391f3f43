"""Collections of images: folders, globs, lists, tar files, Parquet, on disk or in a bucket."""
