"""The package hands on what it promises."""

from apex_actors import protocol


def test_every_exported_name_exists_and_is_named_once():
    missing = [name for name in protocol.__all__ if not hasattr(protocol, name)]

    assert missing == []
    assert len(protocol.__all__) == len(set(protocol.__all__))


def test_every_event_and_message_type_is_exported():
    """Handlers and tests name them all."""
    models = {*protocol.MESSAGE_TYPES.values(), *protocol.PAYLOAD_TYPES.values()}

    assert {model.__name__ for model in models} <= set(protocol.__all__)
