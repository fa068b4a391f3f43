"""`wsol promote`: a candidate takes the champion's place if it is better on the same images."""
