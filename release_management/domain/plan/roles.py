"""The two roles and the two legs of a plan."""

from typing import Literal

Role = Literal["stable", "candidate"]
"""What runs, and what comes."""
Leg = Literal["forward", "rollback"]
