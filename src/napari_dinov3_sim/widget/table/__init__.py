"""The page of the table: objects, images, a plot; Qt and no session.

May import `widget/views/`, and matplotlib inside functions.
"""
