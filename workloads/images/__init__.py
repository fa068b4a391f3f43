"""Images: the one decode function, the view a network has of an image, masks, drawing."""
