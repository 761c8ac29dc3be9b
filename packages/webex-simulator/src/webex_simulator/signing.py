"""Signs as Webex signs what integrations have to believe: JSON Web Tokens (ES256), with a key that follows from the seed.

The libraries load with the first token: a simulator without integrations needs none of them.
"""

from __future__ import annotations

import json
from typing import Any

from webex_simulator.chance import key

KEY_ID = "simulated-key"
ALGORITHM = "ES256"


class Signer:
    """Signs tokens; a simulator that starts again has the same key."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def signed(self, claims: dict[str, Any]) -> str:
        """The token with these claims."""
        import jwt

        return jwt.encode(claims, self._private_key(), ALGORITHM, headers={"kid": KEY_ID})

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set, as Webex publishes its own."""
        from jwt.algorithms import ECAlgorithm

        public = json.loads(ECAlgorithm.to_jwk(self._private_key().public_key()))
        return {"keys": [public | {"kid": KEY_ID, "alg": ALGORITHM, "use": "sig"}]}

    def _private_key(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric import ec

        return ec.derive_private_key(1 + key(self._seed, "signing"), ec.SECP256R1())
