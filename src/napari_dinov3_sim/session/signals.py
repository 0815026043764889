"""What a session tells, on the thread that owns the layers."""

from __future__ import annotations

from psygnal import Signal


class Signals:
    """The signals of a session.

    Attributes
    ----------
    status_changed : psygnal.Signal of str
        One line that says what is going on.
    progressed : psygnal.Signal of Progress or None
        None at the end.
    failed : psygnal.Signal of Failure
    noticed : psygnal.Signal of str
        A sentence for the user.
    listed : psygnal.Signal
        The list of images, or a tick in it, has changed.
    answered : psygnal.Signal
        The heatmaps are up to date.
    model_changed : psygnal.Signal
        The model has changed, or its device.
    restyled : psygnal.Signal
        The look or the scaling of the heatmaps has changed.
    queried : psygnal.Signal
        What is asked may have changed.
    """

    status_changed = Signal(str)
    progressed = Signal(object)
    failed = Signal(object)
    noticed = Signal(str)
    listed = Signal()
    answered = Signal()
    model_changed = Signal()
    restyled = Signal()
    queried = Signal()
