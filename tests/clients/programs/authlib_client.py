"""An application written with PyPI's Authlib, which knows nothing of this server but its issuer."""

import json
import os
import sys
import time
from importlib.metadata import version

# The server listens on this machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

REDIRECT = "https://rp.test/cb"
SCOPE = "openid profile email offline_access"


def say(line):
    print(line, flush=True)


def hear():
    line = sys.stdin.readline()
    if not line:
        sys.exit("the test has gone")
    return json.loads(line)


def register(document):
    say(f"register {json.dumps(document)}")
    return hear()


def visit(url):
    say(f"visit {url}")
    return hear()["url"]


def refused(code, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except OAuthError as error:
        assert error.error == code, error
    else:
        sys.exit(f"not refused with {code}")


class Application:
    """A web application of the server."""

    def __init__(self, told, key=None, audience="issuer"):
        self.told, self.audience = told, audience
        self.http = httpx2.Client(trust_env=False)
        self.metadata = self.http.get(f"{told['issuer']}/.well-known/openid-configuration").json()
        made = self.register_itself() if told.get("initial_access_token") else self.registered(key)
        self.client = OAuth2Client(
            client_id=made["client_id"],
            client_secret=key or made["client_secret"],
            token_endpoint_auth_method="private_key_jwt" if key else "client_secret_basic",
            revocation_endpoint_auth_method="private_key_jwt" if key else "client_secret_basic",
            scope=SCOPE,
            redirect_uri=REDIRECT,
            code_challenge_method="S256",
            token_endpoint=self.metadata["token_endpoint"],
            trust_env=False,
        )
        if key:
            self.client.register_client_auth_method(self.assertions(key))

    def registered(self, key):
        document = {"name": "Foreign shop", "preset": "web", "redirect_uris": [REDIRECT], "apis": [self.told["api"]["id"]]}
        if key:
            document["jwks"] = {"keys": [key.as_dict(private=False)]}
            document["options"] = {"protocol": {"assertion_audience": self.audience}}
        return register(document)

    def register_itself(self):
        if "registration_endpoint" not in self.metadata:
            say("lacks registration_endpoint")
            sys.exit()
        metadata = {
            "client_name": "Foreign shop",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": SCOPE,
        }
        token = {"authorization": f"Bearer {self.told['initial_access_token']}"}
        answer = self.http.post(self.metadata["registration_endpoint"], json=metadata, headers=token)
        assert answer.status_code == 201, answer.text
        # By the authority of the registration itself, it can be read again.
        made = answer.json()
        token = {"authorization": f"Bearer {made['registration_access_token']}"}
        again = self.http.get(made["registration_client_uri"], headers=token)
        assert again.json()["client_id"] == made["client_id"], again.text
        return made

    def assertions(self, key):
        """Authlib writes the endpoint that it calls as their audience, unless it is told otherwise."""
        audience = None if self.audience == "endpoint" else self.metadata["issuer"]

        class EachAnew(PrivateKeyJWT):
            """With the same claims it would say the same `jti` again, and it gives them an hour."""

            def __call__(this, auth, method, uri, headers, body):
                this.claims = {"exp": int(time.time()) + 60}
                return super().__call__(auth, method, uri, headers, body)

        return EachAnew(audience, alg="ES256", headers={"kid": key.kid})

    def sign_in(self):
        verifier, nonce = generate_token(48), generate_token()
        url, state = self.client.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
        arrived = visit(url)
        assert httpx2.URL(arrived).params["iss"] == self.metadata["issuer"]
        tokens = self.client.fetch_token(authorization_response=arrived, code_verifier=verifier, state=state)
        self.verify(tokens, nonce)
        return tokens

    def verify(self, tokens, nonce):
        keys = KeySet.import_key_set(self.http.get(self.metadata["jwks_uri"]).json())
        token = jwt.decode(tokens["id_token"], keys, algorithms=self.metadata["id_token_signing_alg_values_supported"])
        options = {
            "iss": {"essential": True, "value": self.metadata["issuer"]},
            "sub": {"essential": True, "value": self.told["person"]["sub"]},
        }
        parameters = {"nonce": nonce, "client_id": self.client.client_id, "access_token": tokens["access_token"]}
        CodeIDToken(token.claims, token.header, options, parameters).validate()

    def is_active(self, token):
        answer = self.client.introspect_token(self.metadata["introspection_endpoint"], token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()["active"]

    def walk(self):
        first = self.sign_in()
        info = self.client.get(self.metadata["userinfo_endpoint"]).json()
        person = self.told["person"]
        assert {name: info[name] for name in ("sub", "email")} == {name: person[name] for name in ("sub", "email")}
        assert self.is_active(first["access_token"])
        second = self.client.refresh_token(refresh_token=first["refresh_token"])
        assert second["access_token"] != first["access_token"]
        assert second["refresh_token"] != first["refresh_token"]
        revoked = self.client.revoke_token(self.metadata["revocation_endpoint"], token=second["refresh_token"])
        assert revoked.status_code == 200, revoked.text
        assert not self.is_active(second["refresh_token"])
        refused("invalid_grant", self.client.refresh_token, refresh_token=second["refresh_token"])


def new_key():
    return ECKey.generate_key("P-256", parameters={"kid": "first", "alg": "ES256", "use": "sig"})


FLOWS = {
    "client_secret_basic": lambda told: Application(told).walk(),
    "private_key_jwt": lambda told: Application(told, new_key()).walk(),
    "private_key_jwt_for_endpoints": lambda told: Application(told, new_key(), audience="endpoint").walk(),
    "registration": lambda told: Application(told).walk(),
}

say(f"version Authlib {version('authlib')}")
told = hear()
FLOWS[told["flow"]](told)
say("ran")
