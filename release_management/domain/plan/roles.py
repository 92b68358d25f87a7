"""The two roles and the two legs of a plan."""

from typing import Literal

Role = Literal["stable", "candidate"]
"""The running version, and the one that comes."""
Leg = Literal["forward", "rollback"]
