"""Files of readings as people have them: what is in one, and its readings.

Pure: bytes in, columns out. `understand` looks at the first bytes of a file (and, where there are any, the last) and
says what it makes of them: how its text is written, which column has the times and how, what the others are. What it
cannot know it asks. A `Reading` then takes the whole file piece by piece and gives readings, and the rows that it had
to leave. The command line and the web application both use it so.
"""

from __future__ import annotations

from allthings.readings.files.plan import Column, Moment, Options, Question, Understood
from allthings.readings.files.reading import Reading, Taken
from allthings.readings.files.understand import understand, understand_file

__all__ = ["Column", "Moment", "Options", "Question", "Reading", "Taken", "Understood", "understand", "understand_file"]
