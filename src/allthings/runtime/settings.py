"""Every setting, declared once: flags, environment, file, reference and `allthings doctor` come from this list.

A value is taken from the flag, else from `ALLTHINGS_<NAME>`, else from `allthings.toml` (`ALLTHINGS_CONFIG`, else the
working directory's, else the user's configuration directory's), else it is the default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import platformdirs

from allthings.runtime.errors import SettingError
from allthings.things.errors import BadInputError
from allthings.things.zones import find_zone


class Setting(NamedTuple):
    """One setting: `name` in the file, `ALLTHINGS_NAME` in the environment, `--name` on the command line."""

    name: str
    kind: type[str] | type[int] | type[float] | type[bool]
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False

    @property
    def variable(self) -> str:
        return f"ALLTHINGS_{self.name.upper()}"


SETTINGS: Final = (
    Setting("data", str, "", "The folder that holds everything. Empty: the user's data directory."),
    Setting("host", str, "127.0.0.1", "The address to listen on. Anything but loopback needs authentication."),
    Setting("http_port", int, 8484, "The port of the console and all HTTP interfaces; 0 takes a free one.", 0, 65535),
    Setting("mqtt_port", int, 1883, "The port of MQTT over TCP; 0 takes a free one.", 0, 65535),
    Setting("mqtts_port", int, -1, "The port of MQTT over TLS, usually 8883; 0: a free one, -1: none.", -1, 65535),
    Setting("mqtt_socket", str, "", "A Unix socket for MQTT on this machine; its owner and group may connect."),
    Setting("https", bool, False, "HTTP over TLS instead of plain HTTP, with the same certificate as MQTT."),
    Setting("tls_cert", str, "", "The server's certificate and chain (PEM). Empty: what `allthings certs init` made."),
    Setting("tls_key", str, "", "The certificate's key (PEM). Empty: it is in the certificate's file."),
    Setting("tls_client_ca", str, "", "Authorities (PEM, with revocation lists) of clients that show certificates."),
    Setting("proxy_protocol", str, "", "Proxies that send a PROXY v2 header: addresses or networks, commas between."),
    Setting("gateways", int, 1, "Gateway processes that serve MQTT together as one broker.", 1, 64),
    Setting("keepalive_max_s", int, 3600, "The longest keep-alive of MQTT 5 clients; also for who has none.", 5, 65535),
    Setting("mqtt_control_characters", bool, False, "Let control characters through in topics, filters and names."),
    Setting("open", bool, False, "No authentication. Loopback only."),
    Setting("zone", str, "", "Of times without an offset in files (Europe/Berlin). Empty: the machine's."),
    Setting("nats", str, "", "Join this NATS (nats://host:4222) instead of starting a private one.", secret=True),
    Setting("nats_replicas", int, 1, "Replicas of the log in a NATS cluster.", 1, 5),
    Setting("nats_server", str, "", "The nats-server program. Empty: the one installed with us, else the one on PATH."),
    Setting("clickhouse", str, "", "A ClickHouse (http://user:password@host:8123) to use instead.", secret=True),
    Setting("database", str, "", "Keep the registry in this database (postgresql://…) instead of SQLite.", secret=True),
    Setting("secret_key", str, "", "Seals the registry's secrets (32 bytes, base64); else a file's.", secret=True),
    Setting("log_keep_days", float, 7.0, "How long the log keeps blocks that every consumer has finished.", 0.01, 3650),
    Setting("log_keep_gb", float, 20.0, "How much the log keeps; at a quarter more appends wait.", 0.1, 1e6),
    Setting("keep_raw_days", float, 90.0, "How long readings are kept; properties can say otherwise.", 0.04, 1e5),
    Setting("keep_1m_days", float, 730.0, "How long rollups by the minute are kept; hours and days for ever.", 1, 1e5),
    Setting("disk_reserve_mb", int, 512, "Free MB, and 4 files for each, below which nothing is taken.", 16, 10**7),
)  # fmt: skip
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


class Source(NamedTuple):
    """A value and where it came from: `flag`, `environment`, a file's path, or `default`."""

    value: Any
    origin: str


class Settings:
    """The settings in force, as attributes named as in SETTINGS; `sources` tells where each came from."""

    data: Path
    host: str
    http_port: int
    mqtt_port: int
    mqtts_port: int
    mqtt_socket: str
    https: bool
    tls_cert: str
    tls_key: str
    tls_client_ca: str
    proxy_protocol: str
    gateways: int
    keepalive_max_s: int
    mqtt_control_characters: bool
    open: bool
    zone: str
    nats: str
    nats_replicas: int
    nats_server: str
    clickhouse: str
    database: str
    secret_key: str
    log_keep_days: float
    log_keep_gb: float
    keep_raw_days: float
    keep_1m_days: float
    disk_reserve_mb: int

    def __init__(self, sources: dict[str, Source]) -> None:
        self.sources = sources
        for name, source in sources.items():
            setattr(self, name, source.value)
        named = sources["data"].value
        self.data = Path(named or platformdirs.user_data_dir("allthings")).expanduser().resolve()

    @property
    def database_url(self) -> str:
        """SQLAlchemy's URL of the registry."""
        if not self.database:
            return f"sqlite:///{self.data / 'registry.db'}"
        return self.database.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def certificates(self) -> Path:
        """Where `allthings certs` keeps its files."""
        return self.data / "certs"

    @property
    def clickhouse_dsn(self) -> str:
        return self.clickhouse or f"chdb://{self.data / 'history'}"

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for child processes."""
        values = {s.variable: str(getattr(self, s.name)) for s in SETTINGS}
        return {variable: value for variable, value in values.items() if value != ""}


def load(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags (None: not given), environment, file and defaults. Raises SettingError."""
    environ = os.environ if environ is None else environ
    path, file = _file(environ)
    sources: dict[str, Source] = {}
    for setting in SETTINGS:
        if flags.get(setting.name) is not None:
            source = Source(flags[setting.name], "flag")
        elif setting.variable in environ:
            source = Source(environ[setting.variable], "environment")
        elif setting.name in file:
            source = Source(file[setting.name], str(path))
        else:
            source = Source(setting.default, "default")
        sources[setting.name] = Source(_checked(setting, source), source.origin)
    settings = Settings(sources)
    if settings.open and settings.host not in ("127.0.0.1", "::1", "localhost"):
        raise SettingError(
            f"--open switches authentication off and is refused on {settings.host}: use it with --host 127.0.0.1, "
            "or leave it out"
        )
    if settings.zone:
        try:
            find_zone(settings.zone)
        except BadInputError as error:
            raise SettingError(f"zone (from {sources['zone'].origin}): {error.detail}") from None
    return settings


def _file(environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    given = environ.get("ALLTHINGS_CONFIG")
    places = (
        [Path(given)]
        if given
        else [Path("allthings.toml"), Path(platformdirs.user_config_dir("allthings")) / "allthings.toml"]
    )
    for path in places:
        if not path.is_file():
            continue
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingError(f"{path} cannot be read: {error}") from error
        unknown = sorted(set(values) - set(_BY_NAME))
        if unknown:
            raise SettingError(f"{path} names unknown settings: {', '.join(unknown)}. Known: {', '.join(_BY_NAME)}")
        return path, values
    if given:
        raise SettingError(f"ALLTHINGS_CONFIG names {given}, which is not there")
    return None, {}


def _checked(setting: Setting, source: Source) -> Any:
    value = source.value
    where = f"{setting.name} = {value!r} (from {source.origin})"
    try:
        if setting.kind is bool:
            value = value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
        else:
            value = setting.kind(value)
    except (KeyError, ValueError):
        raise SettingError(f"{where} is not of type {setting.kind.__name__}") from None
    if setting.minimum is not None and not setting.minimum <= value <= (setting.maximum or float("inf")):
        raise SettingError(f"{where} is outside {setting.minimum:g} to {setting.maximum:g}")
    return value


_BOOLEANS: Final = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
