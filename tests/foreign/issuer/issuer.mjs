// An issuer that is none of ours: npm's oidc-provider, with two names, one client and three audiences.
//
// It says "ready URL" once it listens on a free port of 127.0.0.1. Then it takes one line at a time from its standard input, and
// says the same line once it is done:
//
//   change     a new key, of the other kind, signs from now on; those before it stay published
//   withdraw   only the key that signs now stays published
//
// It ends with its standard input, so that nothing is left of it when a test dies.

import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

// Debian 12 has a Node that lacks only these.
globalThis.crypto ??= webcrypto;
URL.parse ??= (...parts) => URL.canParse(...parts) ? new URL(...parts) : null;
const { Provider } = await import('oidc-provider');

const ORDERS = 'https://orders.example';
const AUDIENCES = {
  [ORDERS]: ORDERS,
  'https://invoices.example': 'https://invoices.example',
  // The same service; its tokens say that they are of another kind.
  'https://orders.example/untyped': ORDERS,
};
const KINDS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};

function key(alg) {
  const jwk = KINDS[alg]().privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: randomBytes(8).toString('hex'), use: 'sig', alg };
}

function provider(issuer, keys) {
  const [signing] = keys;
  return new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'robot',
      client_secret: 'a secret that only this test knows',
      grant_types: ['client_credentials'],
      id_token_signed_response_alg: signing.alg,
      redirect_uris: [],
      response_types: [],
    }],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    enabledJWA: { idTokenSigningAlgValues: Object.keys(KINDS) },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          audience: AUDIENCES[resource],
          jwt: { sign: { alg: signing.alg, kid: signing.kid } },
          scope: 'orders:read orders:write',
        }),
      },
    },
    formats: {
      customizers: {
        jwt: (_context, token, parts) => {
          if (token.resourceServer.identifier().endsWith('/untyped')) parts.header = { typ: 'JWT' };
        },
      },
    },
  });
}

let keys = [key('RS256')];
let names = [];

// A provider is made for its keys; with others it is another one.
function open() {
  names = ['', '/other'].map((path) => ({ path, answer: provider(origin + path, keys).callback() }));
}

const server = createServer((request, response) => {
  const { path, answer } = names.findLast(({ path }) => request.url.startsWith(`${path}/`));
  request.originalUrl = request.url;
  request.url = request.url.slice(path.length);
  answer(request, response);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
open();
console.log(`ready ${origin}`);

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'change') keys = [key(keys[0].alg === 'RS256' ? 'ES256' : 'RS256'), ...keys];
  else if (line === 'withdraw') keys = keys.slice(0, 1);
  else throw new Error(`unknown: ${line}`);
  open();
  console.log(line);
}
process.exit(0);
