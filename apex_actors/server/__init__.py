"""The one place where the parts are put together: settings in, a running node out."""

from apex_actors.server.node import Node, NodeFailedError, Part
from apex_actors.server.settings import Mode, Settings, SettingsError, load_settings

__all__ = ["Mode", "Node", "NodeFailedError", "Part", "Settings", "SettingsError", "load_settings"]
