"""`/api/v2/aibridge/sign-in`: the ways to sign in, and sign-in at an OpenID provider.

A browser leaves for the provider with a flow in a cookie, and comes back with a response that belongs to it. Whatever
happens, it ends up on the dashboard of this server: the only thing taken from a request is the view to show there.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tornado.web import RequestHandler

from handlers.api.sign_in.sign_in import COOKIE_ATTRIBUTES, HOST
from handlers.base import BridgeHandler
from handlers.identity.credentials import FLOW_COOKIE, HOST_FLOW_COOKIE, HOST_SESSION_COOKIE, SESSION_COOKIE
from handlers.problems import Problem
from resources.accounts import OpenIDSignIn, SignInWays
from storage.accounts.authentication import IdentitiesUnavailableError
from storage.accounts.events import Plane, Reason
from storage.accounts.sign_in.sessions import Method
from storage.accounts.sign_in.single_sign_on import Claimed, PersonRefusedError
from storage.accounts.users import Identity, Role
from storage.mongo.database import DatabaseUnavailableError
from upstream.openid.documents import OpenIDError, ProviderUnavailableError
from upstream.openid.flows import FLOW_SECONDS, CancelledError, FlowEndedError
from upstream.openid.profiles import NotAllowedError

if TYPE_CHECKING:
    from upstream.openid.provider import OpenIDProvider

BEGIN = "/api/v2/aibridge/sign-in/oidc"
CALLBACK = f"{BEGIN}/callback"
NO_PROVIDER = "Nobody signs in at an OpenID provider here (oidc-issuer-url)."
NO_HOST = "The Host header is not a host."
# The cookie of a flow has to come along when the provider's page sends the browser back.
FLOW_ATTRIBUTES = {**COOKIE_ATTRIBUTES, "samesite": "Lax"}

_VIEW = re.compile(r"[A-Za-z0-9/?=&%._~:+-]{0,512}")

_log = logging.getLogger(__name__)


class SignInWaysHandler(BridgeHandler):
    """How one may sign in."""

    plane = Plane.SIGN_IN

    async def get(self) -> None:
        """Send it to anybody."""
        settings = self.bridge.settings
        name = settings.oidc_name or urlsplit(settings.oidc_issuer_url).hostname or ""
        openid = OpenIDSignIn(name, BEGIN) if self.bridge.openid is not None else None
        self.set_header("Cache-Control", "no-store")
        self.write_json(SignInWays(token=settings.local_sign_in, openid=openid))


class _OpenIDHandler(BridgeHandler):
    plane = Plane.SIGN_IN

    @property
    def openid(self) -> OpenIDProvider:
        """The provider.

        Raises:
            Problem: 404, there is none.
        """
        if self.bridge.openid is None:
            raise Problem(404, NO_PROVIDER)
        return self.bridge.openid

    @property
    def is_secure(self) -> bool:
        """Whether the browser got here over TLS."""
        return self.scheme == "https"

    @property
    def redirect_url(self) -> str:
        """Where the provider sends the browser back: to the host that it came to, which the provider has to know.

        Raises:
            Problem: 400, the request names no host.
        """
        host = self.request.headers.get("Host", "")
        if HOST.fullmatch(host) is None:
            raise Problem(400, NO_HOST)
        return f"{self.scheme}://{host}{CALLBACK}"

    def lead(self, url: str) -> None:
        """Send the browser to an address."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Location", url)
        self.set_status(303)

    def show(self, view: str) -> None:
        """Send the browser to a view of the dashboard."""
        self.lead(f"/#/{view}")

    def refuse(self, why: str, error: Exception) -> None:
        """Send the browser the reason for no sign-in in one word; the log has the details."""
        level = logging.WARNING if isinstance(error, ProviderUnavailableError) else logging.INFO
        _log.log(level, "sign-in refused: reason=%s address=%s detail=%s", why, self.client_ip, error)
        self.show(f"sign-in-refused/{why}")


class BeginHandler(_OpenIDHandler):
    """Sends a browser to the provider."""

    head = RequestHandler.head  # a sign-in is more than a look

    async def get(self) -> None:
        """Respond with 303 to the provider, with the flow in a cookie."""
        openid, view = self.openid, self.get_query_argument("view", "")
        try:
            flow, url = await openid.begin(view if _VIEW.fullmatch(view) else "", self.redirect_url)
        except ProviderUnavailableError as error:
            self.refuse("unavailable", error)
            return
        self.set_cookie(
            HOST_FLOW_COOKIE if self.is_secure else FLOW_COOKIE,
            flow.write(),
            max_age=int(FLOW_SECONDS),
            secure=self.is_secure,
            **FLOW_ATTRIBUTES,
        )
        self.lead(url)


class CallbackHandler(_OpenIDHandler):
    """Takes a browser back from the provider."""

    head = RequestHandler.head  # a sign-in is more than a look

    async def get(self) -> None:
        """Sign in, and respond with 303 to the dashboard: to the requested view, or to the reason for no sign-in."""
        openid = self.openid
        names = (HOST_FLOW_COOKIE,) if self.is_secure else (HOST_FLOW_COOKIE, FLOW_COOKIE)
        cookies = self.request.cookies
        kept = next((cookies[name].value for name in names if name in cookies), None)
        for name in names:
            self.clear_cookie(name, secure=name is HOST_FLOW_COOKIE, **FLOW_ATTRIBUTES)
        if self.bridge.access.wait_ns(lambda: self.client_ip):
            self.show("sign-in-refused/too_many")
            return
        try:
            flow = openid.read_flow(kept)
            profile = await openid.finish(flow, self._redirect_parameters(), self.redirect_url)
            claimed = Claimed(
                issuer=profile.issuer,
                subject=profile.subject,
                username=profile.username,
                name=profile.name,
                role=Role(profile.role) if profile.role else None,
                groups=profile.groups,
            )
            user = await self.bridge.single_sign_on.admit(claimed)
            await self._sign_in(Identity(user=user), profile.id_token)
        except CancelledError:
            self.show("sign-in-refused/cancelled")
        except ProviderUnavailableError as error:
            self.refuse("unavailable", error)
        except DatabaseUnavailableError as error:
            self.refuse("database", error)
        except FlowEndedError as error:  # nothing was asked of the provider: any page can send a browser here
            self.refuse("ended", error)
        except (OpenIDError, NotAllowedError, PersonRefusedError) as error:
            self.note_failure(Reason.SINGLE_SIGN_ON)
            self.refuse(_word(error), error)
        else:
            self.show(flow.view)

    def _redirect_parameters(self) -> dict[str, str]:
        """The parameters of the response, each of them once (RFC 6749 section 3.1)."""
        given = self.request.query_arguments
        if any(len(values) != 1 for values in given.values()):
            raise FlowEndedError("the answer has a parameter twice")
        return {name: values[0].decode("utf-8", "replace") for name, values in given.items()}

    async def _sign_in(self, identity: Identity, id_token: str) -> None:
        browser = self.request.headers.get("User-Agent", "")
        session = await self.bridge.sign_ins.create(
            identity,
            client_ip=self.client_ip,
            user_agent=browser,
            method=Method.OPENID,
            id_token=id_token if self.bridge.settings.oidc_sign_out else "",
        )
        self.bridge.active_tokens.forget()
        if replaced := self.session_cookie:  # some browsers send none, as they come from the provider's page
            with suppress(IdentitiesUnavailableError, DatabaseUnavailableError):
                await self.bridge.sign_ins.sign_out(replaced)
        self.bridge.access.signed_in(self.client_ip, identity)
        name = HOST_SESSION_COOKIE if self.is_secure else SESSION_COOKIE
        self.set_cookie(name, session, secure=self.is_secure, **COOKIE_ATTRIBUTES)


def _word(error: Exception) -> str:
    match error:
        case PersonRefusedError():
            return error.why.value
        case NotAllowedError():
            return "not_allowed"
    return "provider"
