"""Models: the protocol rooms share, network architectures, model folders and prediction."""
