"""`builder.torch` under the name of the project."""

import sys

import builder.torch
from builder.torch import *  # noqa: F403  # for type checkers

sys.modules[__name__] = builder.torch
