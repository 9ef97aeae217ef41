"""Settings: files, variables, flags, in this order; and what production refuses."""

import pytest

from apex_actors.server.settings import Mode, SettingsError, load_settings

SECRET = "s" * 40


@pytest.fixture(autouse=True)
def _clean(clean_env):
    return clean_env


def test_the_file_of_the_mode_is_read():
    settings = load_settings(mode="development")
    assert (settings.mode, settings.log_format, settings.host) == (
        Mode.DEVELOPMENT,
        "console",
        "127.0.0.1",
    )


def test_a_variable_goes_before_the_file_and_a_flag_before_both(clean_env):
    clean_env.setenv("APEX_PORT", "9001")
    clean_env.setenv("APEX_GATEWAY__REPLAY_LIMIT", "7")
    settings = load_settings(mode="development")
    assert (settings.port, settings.gateway.replay_limit) == (9001, 7)
    assert load_settings(mode="development", port=9002).port == 9002


def test_a_flag_that_is_not_given_counts_for_nothing(clean_env):
    clean_env.setenv("APEX_PORT", "9001")
    assert load_settings(mode="development", port=None).port == 9001


def test_production_needs_a_secret_and_is_the_default(clean_env):
    with pytest.raises(SettingsError, match="APEX_AUTH__SECRET"):
        load_settings()
    clean_env.setenv("APEX_AUTH__SECRET", SECRET)
    settings = load_settings()
    assert (settings.mode, settings.log_format) == (Mode.PRODUCTION, "json")


def test_the_mode_may_come_from_a_variable(clean_env):
    clean_env.setenv("APEX_MODE", "development")
    assert load_settings().log_format == "console"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("APEX_PORT", "seventy", "port: "),
        ("APEX_AUTH__SECRET", "tooshort", "auth.secret: .*32 bytes"),
        ("APEX_EXECUTION__LEASE_S", "0", "execution.lease_s: "),
        ("APEX_GATEWAY__UNHEARD_OF", "1", "gateway.unheard_of: "),
        ("APEX_MODE", "holiday", "mode: must be one of"),
        ("APEX_GATEWAY__ALLOWED_ORIGINS", "https://a.example", "gateway.*JSON"),
    ],
)
def test_what_does_not_fit_is_named_without_its_value(clean_env, name, value, reason):
    clean_env.setenv(name, value)
    with pytest.raises(SettingsError, match=reason) as error:
        load_settings(mode=None if name == "APEX_MODE" else "development")
    assert value in {"0", "1"} or value not in str(error.value)


def test_no_secret_shows_in_the_settings_text(clean_env):
    clean_env.setenv("APEX_AUTH__SECRET", SECRET)
    clean_env.setenv("APEX_DATABASE_URL", "postgresql://u:hidden@h/d")
    shown = repr(load_settings())
    assert SECRET not in shown
    assert "hidden" not in shown


def test_imports_alone_cannot_take_all_connections_of_bulk_work(clean_env):
    clean_env.setenv("APEX_GATEWAY__HTTP__UPLOADS_AT_ONCE", "4")
    with pytest.raises(SettingsError, match="bulk_connections must be above"):
        load_settings(mode="development")
    assert load_settings(mode="development", bulk_connections=5).bulk_connections == 5


def test_more_processes_than_the_embedded_database_has_connections_for_are_refused(clean_env):
    with pytest.raises(SettingsError, match=r"processes must be fewer.*APEX_DATABASE_URL"):
        load_settings(mode="development", processes=7)
    assert load_settings(mode="development", processes=6).processes == 6
    clean_env.setenv("APEX_DATABASE_URL", "postgresql://u@h/d")
    assert load_settings(mode="development", processes=7).processes == 7
