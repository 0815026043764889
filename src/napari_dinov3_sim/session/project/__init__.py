"""Projects: a session written to a file, and opened again, here or on another computer.

`snapshot` makes a project of a session and `restoring` makes a session of a project, both on the
main thread. In workers, `examining` finds out which file each image is from, and `finding` opens
the images of a project. `projects` is the public part. May import `session/coordinator.py`, and
what that may import, and `store/project/`.
"""
