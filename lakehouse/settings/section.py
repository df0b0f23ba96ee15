"""What every part of the tree of settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the tree: frozen, and unknown keys fail."""

    model_config = ConfigDict(frozen=True, extra="forbid")
