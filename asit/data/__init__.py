"""Datasets, crops, augmentation, collation and samplers."""
