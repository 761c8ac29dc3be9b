"""Who is at the keyboard: the author of what is done about an incident."""

from __future__ import annotations

import base64
import getpass
import json
import os
from urllib.parse import urlsplit

from processors.contracts.facts import STORAGE_SCOPE

_CLAIMS = ("upn", "unique_name", "preferred_username", "app_displayname", "appid")
"""Where an access token of Entra says who somebody is: people first, then service principals."""


class NobodyError(Exception):
    """It is not known who is at the keyboard. The text says the next step."""


def author(state_url: str) -> str:
    """The person signed in to Azure where the state is there, else the user of this machine; raises NobodyError."""
    if state_url and urlsplit(state_url).scheme == "https":
        return named_in(_token())
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise NobodyError("This machine's user has no name: set USER to yours.") from None


def named_in(token: str) -> str:
    """Whom an access token is for. It is ours and is checked by whom it is sent to: here it is only read."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return next(str(claims[name]) for name in _CLAIMS if claims.get(name))
    except (IndexError, ValueError, TypeError, AttributeError, StopIteration):
        raise NobodyError("Azure does not say who is signed in: az login as yourself, then do it again.") from None


def _token() -> str:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential

    try:
        credential = DefaultAzureCredential(managed_identity_client_id=os.environ.get("AZURE_CLIENT_ID"))
        return credential.get_token(STORAGE_SCOPE).token
    except ClientAuthenticationError:
        raise NobodyError("Nobody is signed in to Azure: az login, then do it again.") from None
