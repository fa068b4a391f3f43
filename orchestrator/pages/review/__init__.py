"""The pages of `wsol review`: annotated images for people to judge, from a folder, offline."""
