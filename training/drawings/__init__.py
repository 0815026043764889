"""Images drawn by program, with the share of each class in each patch.

`fields` makes smooth random fields, `scenes` says which class lies at each pixel, `looks` how a
class looks, `modalities` how a microscope shows it, and `groups` puts them together.
"""
