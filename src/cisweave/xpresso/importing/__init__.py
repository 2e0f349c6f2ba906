"""Weights that others published for promoter models: Keras HDF5 and TensorFlow bundles, read without Keras."""
