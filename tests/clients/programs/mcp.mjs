// A client of tools for language models, written with the official library of the Model Context Protocol, which knows nothing but where
// the tools are.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { discoverOAuthServerInfo, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { needs, register, run, visit } from './conversation.mjs';

const REDIRECT = 'http://127.0.0.1/cb';

/** What the library asks and keeps. */
class Keeper {
  constructor(registered) {
    this.registered = registered;
  }

  get redirectUrl() {
    return REDIRECT;
  }

  get clientMetadata() {
    return {
      client_name: 'Foreign model',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: 'offline_access',
    };
  }

  state() {
    return (this.sent = randomUUID());
  }

  clientInformation() {
    return this.registered;
  }

  tokens() {
    return this.kept;
  }

  saveTokens(tokens) {
    this.kept = tokens;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }

  redirectToAuthorization(url) {
    this.target = url;
  }
}

/** One that registers by itself. */
class Newcomer extends Keeper {
  saveClientInformation(registered) {
    this.registered = registered;
  }
}

/** One that a document describes: it is named by where that is. */
class Described extends Newcomer {
  constructor(clientMetadataUrl) {
    super();
    this.clientMetadataUrl = clientMetadataUrl;
  }
}

async function connected(tools, authProvider) {
  const client = new Client({ name: 'foreign', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(tools), { authProvider }));
  return client;
}

/** Signs somebody in as the library has it: refused, sent away, back with a code. */
async function signIn(tools, keeper) {
  const transport = new StreamableHTTPClientTransport(new URL(tools), { authProvider: keeper });
  await assert.rejects(new Client({ name: 'foreign', version: '1' }).connect(transport), UnauthorizedError);
  const arrived = await visit(keeper.target);
  assert.equal(arrived.searchParams.get('state'), keeper.sent);
  await transport.finishAuth(arrived.searchParams.get('code'));
}

async function useTools(tools, keeper) {
  await signIn(tools, keeper);
  const client = await connected(tools, keeper);
  const { tools: listed } = await client.listTools();
  assert.deepEqual(listed.map(({ name }) => name), ['order', 'stock']);
  const stock = await client.callTool({ name: 'stock', arguments: { item: 'gate' } });
  assert.equal(stock.content[0].text, '7 of gate');
  const order = await client.callTool({ name: 'order', arguments: { item: 'gate' } });
  assert.equal(order.isError, true);
  assert.match(order.content[0].text, /^The policy of this service does not allow this/);
  await client.close();

  // A token that is accepted no longer is renewed on the way.
  const before = keeper.kept;
  keeper.kept = { ...before, access_token: 'none' };
  const again = await connected(tools, keeper);
  assert.equal((await again.listTools()).tools.length, 2);
  assert.notEqual(keeper.kept.refresh_token, before.refresh_token);
  await again.close();
}

await run('@modelcontextprotocol/sdk', {
  async registered(told) {
    const client = { name: 'Foreign model', preset: 'native', redirect_uris: [REDIRECT], apis: [told.api.id] };
    const { client_id } = await register(client);
    await useTools(told.api.audience, new Keeper({ client_id, issuer: told.issuer }));
  },

  async registration(told) {
    const { authorizationServerMetadata } = await discoverOAuthServerInfo(told.api.audience);
    needs(authorizationServerMetadata, 'registration_endpoint');
    await useTools(told.api.audience, new Newcomer());
  },

  async document(told) {
    const { authorizationServerMetadata } = await discoverOAuthServerInfo(told.api.audience);
    needs(authorizationServerMetadata, 'client_id_metadata_document_supported');
    const keeper = new Described(told.document);
    await useTools(told.api.audience, keeper);
    assert.equal(keeper.registered.client_id, told.document);
  },
});
