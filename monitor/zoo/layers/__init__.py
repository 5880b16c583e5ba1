"""Front ends and layers that several families share."""
