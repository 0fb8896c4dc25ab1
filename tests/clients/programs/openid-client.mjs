// An application, and programs without people, written with npm's `openid-client`, which knows nothing of this server but its issuer.

import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { needs, register, run, visit } from './conversation.mjs';

const REDIRECT = 'https://rp.test/cb';
const BYE = 'https://rp.test/bye';
const WEB = { name: 'Foreign shop', preset: 'web', redirect_uris: [REDIRECT], post_logout_redirect_uris: [BYE] };
const MACHINE = { name: 'Foreign robot', preset: 'm2m' };
const SCOPE = 'openid profile email offline_access';

/** An application with a secret, which it shows by Basic authentication. */
async function withSecret(told, document = WEB) {
  const { client_id, client_secret } = await register({ ...document, apis: [told.api.id] });
  return discover(told.issuer, client_id, client.ClientSecretBasic(client_secret));
}

/** An application that signs, and its key. */
async function withKey(told, document = WEB) {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const jwk = { ...(await crypto.subtle.exportKey('jwk', pair.publicKey)), kid: 'first', use: 'sig', alg: 'ES256' };
  const { client_id } = await register({ ...document, apis: [told.api.id], jwks: { keys: [jwk] } });
  const key = { key: pair.privateKey, kid: 'first' };
  return { key, config: await discover(told.issuer, client_id, client.PrivateKeyJwt(key)) };
}

async function discover(issuer, id, authentication, algorithm = 'oidc') {
  // The library itself verifies what came from the token endpoint, too.
  const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];
  return client.discovery(new URL(issuer), id, undefined, authentication, { algorithm, execute });
}

/** An authorization request, and what the library checks the answer by. */
async function begun(more = {}) {
  const [verifier, state, nonce] = [client.randomPKCECodeVerifier(), client.randomState(), client.randomNonce()];
  const parameters = {
    redirect_uri: REDIRECT,
    scope: SCOPE,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...more,
  };
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  return { parameters, checks };
}

/** Signs somebody in, by a link that is built by one of the functions of the library. */
async function signIn(config, build = client.buildAuthorizationUrl, more = {}, options = undefined) {
  const { parameters, checks } = await begun(more);
  if (more.max_age) checks.maxAge = more.max_age;
  const arrived = await visit(await build(config, parameters, options));
  return client.authorizationCodeGrant(config, arrived, checks, undefined, options);
}

/** The tokens are those of the person whom the test knows. */
async function belongTo(config, tokens, person, options) {
  const claims = tokens.claims();
  assert.equal(claims.sub, person.sub);
  const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub, options);
  assert.equal(info.preferred_username, person.username);
  assert.equal(info.email, person.email);
}

/** A key that tokens are bound to. */
async function proving(config) {
  return client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
}

async function isActive(config, token) {
  return (await client.tokenIntrospection(config, token)).active;
}

const refusal = (code) => (error) => {
  assert.equal(error.error ?? error.cause?.error, code, error);
  return true;
};

await run('openid-client', {
  async discovery({ issuer }) {
    for (const algorithm of ['oidc', 'oauth2']) {
      const config = await discover(issuer, 'nobody', client.None(), algorithm);
      const metadata = config.serverMetadata();
      assert.equal(metadata.issuer, issuer);
      assert.equal(metadata.supportsPKCE(), true);
      assert.equal(metadata.authorization_response_iss_parameter_supported, true);
    }
  },

  async code(told) {
    const config = await withSecret(told);
    const tokens = await signIn(config, undefined, { max_age: 600 });
    assert.equal(tokens.token_type, 'bearer');
    await belongTo(config, tokens, told.person);
  },

  async private_key_jwt(told) {
    const { config } = await withKey(told);
    const tokens = await signIn(config);
    await belongTo(config, tokens, told.person);
    assert.equal(await isActive(config, tokens.access_token), true);
  },

  async form_post(told) {
    const config = await withSecret(told);
    const tokens = await signIn(config, undefined, { response_mode: 'form_post' });
    await belongTo(config, tokens, told.person);
  },

  async par(told) {
    const config = await withSecret(told, { ...WEB, options: { protocol: { require_pushed_requests: true } } });
    await assert.rejects(signIn(config), refusal('invalid_request'));
    const tokens = await signIn(config, client.buildAuthorizationUrlWithPAR);
    await belongTo(config, tokens, told.person);
  },

  async jar(told) {
    const protocol = { require_signed_request_object: true };
    const { config, key } = await withKey(told, { ...WEB, options: { protocol } });
    const signed = (config, parameters) => client.buildAuthorizationUrlWithJAR(config, parameters, key);
    await belongTo(config, await signIn(config, signed), told.person);
    // And pushed, as the profile of FAPI for signed messages has it.
    const pushed = async (config, parameters) => {
      const url = await signed(config, parameters);
      return client.buildAuthorizationUrlWithPAR(config, { request: url.searchParams.get('request') });
    };
    await belongTo(config, await signIn(config, pushed), told.person);
  },

  async jarm(told) {
    const config = await withSecret(told);
    client.useJwtResponseMode(config);
    const { parameters, checks } = await begun();
    const arrived = await visit(client.buildAuthorizationUrl(config, parameters));
    assert.deepEqual([...arrived.searchParams.keys()], ['response']);
    await belongTo(config, await client.authorizationCodeGrant(config, arrived, checks), told.person);
  },

  async refresh(told) {
    const config = await withSecret(told);
    const first = await signIn(config);
    const second = await client.refreshTokenGrant(config, first.refresh_token);
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.notEqual(second.access_token, first.access_token);
    await belongTo(config, second, told.person);
    await client.refreshTokenGrant(config, second.refresh_token);
    // One that was traded twice over is taken for stolen, and its successors with it.
    await assert.rejects(client.refreshTokenGrant(config, first.refresh_token), refusal('invalid_grant'));
  },

  async client_credentials(told) {
    const configs = [await withSecret(told, MACHINE), (await withKey(told, MACHINE)).config];
    for (const config of configs) {
      const tokens = await client.clientCredentialsGrant(config, { resource: told.api.audience });
      const known = await client.tokenIntrospection(config, tokens.access_token);
      const { client_id } = config.clientMetadata();
      assert.deepEqual([known.active, known.client_id, known.aud], [true, client_id, told.api.audience]);
      await assert.rejects(
        client.clientCredentialsGrant(config, { resource: 'https://elsewhere.example' }),
        refusal('invalid_target'),
      );
    }
  },

  async revocation(told) {
    const config = await withSecret(told);
    const tokens = await signIn(config);
    assert.equal(await isActive(config, tokens.access_token), true);
    assert.equal(await isActive(config, tokens.refresh_token), true);
    await client.tokenRevocation(config, tokens.refresh_token, { token_type_hint: 'refresh_token' });
    assert.equal(await isActive(config, tokens.refresh_token), false);
    await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), refusal('invalid_grant'));
    const others = await signIn(config);
    await client.tokenRevocation(config, others.access_token);
    assert.equal(await isActive(config, others.access_token), false);
    await assert.rejects(client.fetchUserInfo(config, others.access_token, told.person.sub));
  },

  async sign_out(told) {
    const config = await withSecret(told);
    const tokens = await signIn(config);
    const again = await signIn(config, undefined, { prompt: 'none' });
    assert.equal(again.claims().sub, tokens.claims().sub);
    const leaving = { post_logout_redirect_uri: BYE, id_token_hint: tokens.id_token, state: 'so long' };
    const arrived = await visit(client.buildEndSessionUrl(config, leaving));
    assert.equal(arrived.href, `${BYE}?state=so+long`);
    await assert.rejects(signIn(config, undefined, { prompt: 'none' }), refusal('login_required'));
  },

  async dpop(told) {
    const config = await withSecret(told);
    needs(config.serverMetadata(), 'dpop_signing_alg_values_supported');
    const [DPoP, other] = await Promise.all([proving(config), proving(config)]);
    const { parameters, checks } = await begun();
    const url = await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP });
    const tokens = await client.authorizationCodeGrant(config, await visit(url), checks, undefined, { DPoP });
    assert.equal(tokens.token_type, 'dpop');
    await belongTo(config, tokens, told.person, { DPoP });
    const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
    assert.equal(next.token_type, 'dpop');
    await belongTo(config, next, told.person, { DPoP });
    // Without the key it is worth nothing.
    await assert.rejects(client.fetchUserInfo(config, next.access_token, told.person.sub));
    await assert.rejects(client.fetchUserInfo(config, next.access_token, told.person.sub, { DPoP: other }));
  },

  /** A token that is bound to a key, at an API that is none of ours. */
  async dpop_at_api(told) {
    const config = await withSecret(told, MACHINE);
    needs(config.serverMetadata(), 'dpop_signing_alg_values_supported');
    const [DPoP, other] = await Promise.all([proving(config), proving(config)]);
    const tokens = await client.clientCredentialsGrant(config, { resource: told.api.audience }, { DPoP });
    assert.equal(tokens.token_type, 'dpop');
    const ask = (DPoP) =>
      client.fetchProtectedResource(config, tokens.access_token, new URL(told.page), 'GET', null, undefined, { DPoP });
    const answer = await ask(DPoP);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), new RegExp(config.clientMetadata().client_id));
    await assert.rejects(ask(other), client.WWWAuthenticateChallengeError);
    await assert.rejects(ask(undefined), client.WWWAuthenticateChallengeError);
  },

  async device(told) {
    needs((await discover(told.issuer, 'nobody', client.None())).serverMetadata(), 'device_authorization_endpoint');
    const { client_id } = await register({ name: 'Foreign television', preset: 'device' });
    const config = await discover(told.issuer, client_id, client.None());
    const codes = await client.initiateDeviceAuthorization(config, { scope: SCOPE });
    await visit(codes.verification_uri_complete);
    const tokens = await client.pollDeviceAuthorizationGrant(config, codes);
    await belongTo(config, tokens, told.person);
  },

  async registration(told) {
    needs((await discover(told.issuer, 'nobody', client.None())).serverMetadata(), 'registration_endpoint');
    const config = await client.dynamicClientRegistration(
      new URL(told.issuer),
      {
        client_name: 'Foreign newcomer',
        redirect_uris: [REDIRECT],
        grant_types: ['authorization_code', 'refresh_token'],
        // What the library uses unless it is told otherwise; the default of a registration is the other one.
        token_endpoint_auth_method: 'client_secret_post',
        scope: SCOPE,
      },
      undefined,
      { initialAccessToken: told.initial_access_token, execute: [client.allowInsecureRequests] },
    );
    await belongTo(config, await signIn(config), told.person);
  },
});
